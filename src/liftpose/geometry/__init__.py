"""Cameras, rotations, alignment and the Denavit-Hartenberg body: tensors in, tensors out.

Everything here runs in float32 or float64, whatever autocast says.
"""

from liftpose.geometry.alignment import Similarity, rigid_alignment, similarity_alignment
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
from liftpose.geometry.kinematics import dh_transform, forward_kinematics, forward_kinematics_17, joint_limits
from liftpose.geometry.precision import full_precision
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
    "Camera",
    "DistortionModel",
    "IntrinsicsFit",
    "ScreenCameras",
    "Similarity",
    "axis_angle_to_matrix",
    "denormalize_screen",
    "dh_transform",
    "distort",
    "distort_h36m",
    "distort_opencv",
    "euler_to_matrix",
    "fit_intrinsics",
    "forward_kinematics",
    "forward_kinematics_17",
    "full_precision",
    "h36m_cameras",
    "humaneva_cameras",
    "intrinsic_vector",
    "joint_limits",
    "matrix_product",
    "matrix_to_axis_angle",
    "matrix_to_quaternion",
    "normalize_screen",
    "project_published",
    "project_published_linear",
    "quaternion_conjugate",
    "quaternion_to_matrix",
    "rigid_alignment",
    "rotate",
    "rotate_by_quaternion",
    "similarity_alignment",
    "undistort",
]
