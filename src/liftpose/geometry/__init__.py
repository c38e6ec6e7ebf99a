"""Cameras, rotations, alignment and the Denavit-Hartenberg body: tensors in, tensors out.

Everything here runs in float32 or float64, whatever autocast says.
"""

from liftpose.geometry.alignment import Similarity, rigid_alignment, similarity_alignment
from liftpose.geometry.bones import bone_length_templates, bone_lengths, bone_vectors, dress, kcs_features, scale_bones
from liftpose.geometry.bundle import BundleFit, adjust_bundle
from liftpose.geometry.calibration_fit import IntrinsicsFit, fit_intrinsics
from liftpose.geometry.camera import Camera
from liftpose.geometry.camera_pairs import CameraPair, PairFit, camera_rays, fit_pair
from liftpose.geometry.distortion import (
    DISTORTION_MODELS,
    DistortionModel,
    distort,
    distort_h36m,
    distort_opencv,
    undistort,
)
from liftpose.geometry.epipolar import (
    epipolar_lines,
    essential_from_fundamental,
    essential_from_pose,
    fit_essential_ransac,
    fit_fundamental,
    fit_fundamental_ransac,
    fundamental_from_cameras,
    sampson_distance,
)
from liftpose.geometry.h36m_calibration import H36M_CAMERA_IDS, H36M_CAMERA_SUBJECTS, h36m_cameras
from liftpose.geometry.humaneva_calibration import HUMANEVA_CAMERA_IDS, HUMANEVA_CAMERA_SUBJECTS, humaneva_cameras
from liftpose.geometry.inverse_kinematics import BodyPose, inverse_kinematics
from liftpose.geometry.joint_angles import JointAngles, angles_from_columns, angles_from_unit, columns_from_angles
from liftpose.geometry.kinematics import dh_transform, forward_kinematics, forward_kinematics_17, joint_limits
from liftpose.geometry.moving_pairs import FramePoses, fit_pair_frames
from liftpose.geometry.optimal_correction import CorrectedMatches, correct_matches
from liftpose.geometry.patches import (
    encode_labels,
    labels_to_depths,
    labels_to_pixels,
    mirror_in_picture,
    patch_to_image,
    pelvis_boxes,
    picture_poses,
    tight_boxes,
    to_patch,
    to_picture,
)
from liftpose.geometry.precision import full_precision
from liftpose.geometry.random_poses import random_bone_lengths, random_joint_angles
from liftpose.geometry.relative_pose import RelativePose, pose_from_essential
from liftpose.geometry.rigs import Rig, estimate_rig
from liftpose.geometry.robust_triangulation import ViewFusion, fuse_views
from liftpose.geometry.rotations import (
    axis_angle_to_matrix,
    euler_to_matrix,
    matrix_product,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_to_matrix,
    rotate,
    rotate_by_quaternion,
)
from liftpose.geometry.screen import (
    denormalize_screen,
    intrinsic_vector,
    normalize_screen,
    project_published,
    project_published_linear,
)
from liftpose.geometry.screen_cameras import ScreenCameras
from liftpose.geometry.triangulation import Solver, Triangulation, triangulate

__all__ = [
    "DISTORTION_MODELS",
    "H36M_CAMERA_IDS",
    "H36M_CAMERA_SUBJECTS",
    "HUMANEVA_CAMERA_IDS",
    "HUMANEVA_CAMERA_SUBJECTS",
    "BodyPose",
    "BundleFit",
    "Camera",
    "CameraPair",
    "CorrectedMatches",
    "DistortionModel",
    "FramePoses",
    "IntrinsicsFit",
    "JointAngles",
    "PairFit",
    "RelativePose",
    "Rig",
    "ScreenCameras",
    "Similarity",
    "Solver",
    "Triangulation",
    "ViewFusion",
    "adjust_bundle",
    "angles_from_columns",
    "angles_from_unit",
    "axis_angle_to_matrix",
    "bone_length_templates",
    "bone_lengths",
    "bone_vectors",
    "camera_rays",
    "columns_from_angles",
    "correct_matches",
    "denormalize_screen",
    "dh_transform",
    "distort",
    "distort_h36m",
    "distort_opencv",
    "dress",
    "encode_labels",
    "epipolar_lines",
    "essential_from_fundamental",
    "essential_from_pose",
    "estimate_rig",
    "euler_to_matrix",
    "fit_essential_ransac",
    "fit_fundamental",
    "fit_fundamental_ransac",
    "fit_intrinsics",
    "fit_pair",
    "fit_pair_frames",
    "forward_kinematics",
    "forward_kinematics_17",
    "full_precision",
    "fundamental_from_cameras",
    "fuse_views",
    "h36m_cameras",
    "humaneva_cameras",
    "intrinsic_vector",
    "inverse_kinematics",
    "joint_limits",
    "kcs_features",
    "labels_to_depths",
    "labels_to_pixels",
    "matrix_product",
    "matrix_to_axis_angle",
    "matrix_to_quaternion",
    "mirror_in_picture",
    "normalize_screen",
    "patch_to_image",
    "pelvis_boxes",
    "picture_poses",
    "pose_from_essential",
    "project_published",
    "project_published_linear",
    "quaternion_conjugate",
    "quaternion_to_matrix",
    "random_bone_lengths",
    "random_joint_angles",
    "rigid_alignment",
    "rotate",
    "rotate_by_quaternion",
    "sampson_distance",
    "scale_bones",
    "similarity_alignment",
    "tight_boxes",
    "to_patch",
    "to_picture",
    "triangulate",
    "undistort",
]
