"""Cameras, rotations, alignment and the Denavit-Hartenberg body: tensors in, tensors out.

Everything here runs in float32 or float64, whatever autocast says.
"""

from liftpose.geometry.alignment import Similarity, rigid_alignment, similarity_alignment
from liftpose.geometry.bones import bone_length_templates, bone_lengths, bone_vectors, dress, kcs_features, scale_bones
from liftpose.geometry.calibration_fit import IntrinsicsFit, fit_intrinsics
from liftpose.geometry.camera import Camera
from liftpose.geometry.distortion import (
    DISTORTION_MODELS,
    DistortionModel,
    distort,
    distort_h36m,
    distort_opencv,
    undistort,
)
from liftpose.geometry.h36m_calibration import H36M_CAMERA_IDS, H36M_CAMERA_SUBJECTS, h36m_cameras
from liftpose.geometry.humaneva_calibration import HUMANEVA_CAMERA_IDS, HUMANEVA_CAMERA_SUBJECTS, humaneva_cameras
from liftpose.geometry.inverse_kinematics import BodyPose, inverse_kinematics
from liftpose.geometry.joint_angles import JointAngles, angles_from_columns, angles_from_unit, columns_from_angles
from liftpose.geometry.kinematics import dh_transform, forward_kinematics, forward_kinematics_17, joint_limits
from liftpose.geometry.precision import full_precision
from liftpose.geometry.random_poses import random_bone_lengths, random_joint_angles
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

__all__ = [
    "DISTORTION_MODELS",
    "H36M_CAMERA_IDS",
    "H36M_CAMERA_SUBJECTS",
    "HUMANEVA_CAMERA_IDS",
    "HUMANEVA_CAMERA_SUBJECTS",
    "BodyPose",
    "Camera",
    "DistortionModel",
    "IntrinsicsFit",
    "JointAngles",
    "ScreenCameras",
    "Similarity",
    "angles_from_columns",
    "angles_from_unit",
    "axis_angle_to_matrix",
    "bone_length_templates",
    "bone_lengths",
    "bone_vectors",
    "columns_from_angles",
    "denormalize_screen",
    "dh_transform",
    "distort",
    "distort_h36m",
    "distort_opencv",
    "dress",
    "euler_to_matrix",
    "fit_intrinsics",
    "forward_kinematics",
    "forward_kinematics_17",
    "full_precision",
    "h36m_cameras",
    "humaneva_cameras",
    "intrinsic_vector",
    "inverse_kinematics",
    "joint_limits",
    "kcs_features",
    "matrix_product",
    "matrix_to_axis_angle",
    "matrix_to_quaternion",
    "normalize_screen",
    "project_published",
    "project_published_linear",
    "quaternion_conjugate",
    "quaternion_to_matrix",
    "random_bone_lengths",
    "random_joint_angles",
    "rigid_alignment",
    "rotate",
    "rotate_by_quaternion",
    "scale_bones",
    "similarity_alignment",
    "undistort",
]
