"""Calibrated cameras: world to camera to pixels and back, for any batch shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from liftpose.geometry.camera_fields import CAMERA_FIELDS, read_camera_fields
from liftpose.geometry.distortion import DISTORTION_MODELS, DistortionModel, distort, undistort
from liftpose.geometry.precision import full_precision
from liftpose.geometry.rotations import matrix_product, rotate

__all__ = ["Camera"]


@dataclass(frozen=True, eq=False)
class Camera:
    """Calibrated cameras, one or a batch of any shape.

    Camera frame: x right, y down, z forward; ``x_cam = R x_world + t``. Pixels have their origin at the centre of the
    top-left pixel.

    Args:
        R: (*batch, 3, 3) rotation from world to camera frame.
        t: (*batch, 3) metres, position of the world's origin in the camera frame (not the centre of the camera).
        intrinsics: (*batch, 3, 3) pixels, the matrix K with last row (0, 0, 1). The upper left 2 x 2 block may be any:
            the camera of a rotated crop has an entry below the diagonal. NaN where they are unknown, as for HumanEva:
            such a camera can move points between the frames but not project them.
        distortion: (*batch, 5) coefficients in the order of the model; ignored by ``"none"``.
        distortion_model: ``"none"``, ``"h36m"`` (k1, k2, k3, t0, t1) or ``"opencv"`` (k1, k2, p1, p2, k3).
        image_size: (*batch, 2) width and height in pixels.

    Raises:
        TypeError: A tensor is neither float32 nor float64, or they are not all of one type.
        ValueError: A wrong shape, different batch shapes, or another distortion model.
    """

    R: Tensor
    t: Tensor
    intrinsics: Tensor
    distortion: Tensor
    distortion_model: DistortionModel
    image_size: Tensor

    def __post_init__(self) -> None:
        """Check shapes and types: a wrong one would otherwise broadcast to a wrong picture."""
        if self.distortion_model not in DISTORTION_MODELS:
            raise ValueError(
                f"distortion_model: expected one of {', '.join(DISTORTION_MODELS)}, found {self.distortion_model!r}"
            )
        for name, shape in CAMERA_FIELDS.items():
            tensor: Tensor = getattr(self, name)
            if tensor.dtype not in (torch.float32, torch.float64) or tensor.dtype != self.R.dtype:
                raise TypeError(f"{name}: expected float32 or float64, the same for all tensors, found {tensor.dtype}")
            batch = tensor.shape[: tensor.ndim - len(shape)]
            if tensor.shape[len(batch) :] != shape or batch != self.batch_shape:
                raise ValueError(
                    f"{name}: expected shape {(*self.batch_shape, *shape)} for the batch shape of R, "
                    f"found {tuple(tensor.shape)}"
                )

    @property
    def batch_shape(self) -> torch.Size:
        """Shape of the batch of cameras, empty for a single camera."""
        return self.R.shape[:-2]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the numbers, float32 or float64."""
        return self.R.dtype

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.R.device

    @property
    def has_intrinsics(self) -> bool:
        """Whether the intrinsics of all cameras of the batch are known."""
        return not bool(self.intrinsics.isnan().any())

    def _check_intrinsics(self) -> None:
        """Refuse to project without intrinsics; on a GPU, where looking would wait for all that is queued, NaN come."""
        if self.device.type == "cpu" and not self.has_intrinsics:
            raise ValueError("camera: expected known intrinsics, found none; it can only move points between frames")

    @property
    def center(self) -> Tensor:
        """(*batch, 3) metres, world frame: position of the camera."""
        return -rotate(self.R.mT, self.t)

    @property
    def projection_matrix(self) -> Tensor:
        """(*batch, 3, 4) P = K [R | t]: homogeneous world points (metres) to undistorted homogeneous pixels.

        Raises:
            ValueError: The intrinsics are unknown.
        """
        self._check_intrinsics()
        return matrix_product(self.intrinsics, torch.cat((self.R, self.t.unsqueeze(-1)), dim=-1))

    def __len__(self) -> int:
        """Size of the first batch dimension."""
        if not self.batch_shape:
            raise TypeError("a single camera has no length")
        return self.batch_shape[0]

    def __getitem__(self, index: Any) -> Camera:
        """Index the batch dimensions, as one would index a tensor of batch shape."""
        if not self.batch_shape:
            raise TypeError("a single camera cannot be indexed")
        return replace(self, **{name: getattr(self, name)[index] for name in CAMERA_FIELDS})

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Camera:
        """Return the cameras on another device or with numbers of another type."""
        return replace(self, **{name: getattr(self, name).to(device=device, dtype=dtype) for name in CAMERA_FIELDS})

    @staticmethod
    def stack(cameras: Sequence[Camera]) -> Camera:
        """Put cameras of one batch shape into a batch with one more leading dimension.

        Cameras without distortion can stand beside others: zero coefficients are no distortion in any model.

        Args:
            cameras: At least one camera.

        Returns:
            Cameras of batch shape (len(cameras), *batch).

        Raises:
            ValueError: No camera, or two different distortion models.
        """
        models = sorted({camera.distortion_model for camera in cameras} - {"none"})
        if not cameras or len(models) > 1:
            raise ValueError(f"cameras: expected at least one and one distortion model, found {len(cameras)} {models}")
        tensors = {name: torch.stack([getattr(camera, name) for camera in cameras]) for name in CAMERA_FIELDS}
        if models:
            plain = torch.tensor([camera.distortion_model == "none" for camera in cameras], device=cameras[0].device)
            mask = plain.reshape(-1, *(1,) * (tensors["distortion"].ndim - 1))
            tensors["distortion"] = tensors["distortion"].masked_fill(mask, 0)
        return Camera(distortion_model=models[0] if models else "none", **tensors)

    def _aligned(self, name: str, points: Tensor) -> Tensor:
        """Insert dimensions behind the batch's, so that a field broadcasts against points (*batch, ..., n)."""
        tensor: Tensor = getattr(self, name)
        batch = self.batch_shape
        extra = points.ndim - 1 - len(batch)
        if extra < 0:
            raise ValueError(
                f"expected the batch dimensions {tuple(batch)} of the camera to lead those of the points, "
                f"found {tuple(points.shape)}"
            )
        return tensor.reshape(*batch, *(1,) * extra, *tensor.shape[len(batch) :])

    @full_precision
    def to_camera(self, points_world: Tensor) -> Tensor:
        """Move points from the world into the camera frame.

        Args:
            points_world: (*batch, ..., 3) metres, world frame. The dimensions of the batch lead; of size 1, they
                broadcast (the same points in every view).

        Returns:
            (*batch, ..., 3) metres, camera frame.

        Raises:
            ValueError: The points have fewer dimensions than the batch.
        """
        return rotate(self._aligned("R", points_world), points_world) + self._aligned("t", points_world)

    @full_precision
    def to_world(self, points_camera: Tensor) -> Tensor:
        """Move points from the camera into the world frame: the inverse of :meth:`to_camera`.

        Args:
            points_camera: (*batch, ..., 3) metres, camera frame.

        Returns:
            (*batch, ..., 3) metres, world frame.

        Raises:
            ValueError: The points have fewer dimensions than the batch.
        """
        return rotate(self._aligned("R", points_camera).mT, points_camera - self._aligned("t", points_camera))

    @full_precision
    def project(self, points_camera: Tensor) -> Tensor:
        """Project points to pixels, lens distortion included.

        x / z is not clamped, unlike in the published code (:func:`liftpose.geometry.screen.project_published`): a
        clamped point gets a pixel where no camera sees it, and no gradient that would bring it back. So the result is
        not finite for z = 0 and has no meaning for z < 0; callers that can meet such points have to look at z. Far
        outside the image the polynomial of the lens folds back (see :func:`liftpose.geometry.distortion.undistort`).

        Args:
            points_camera: (*batch, ..., 3) metres, camera frame, z > 0.

        Returns:
            (*batch, ..., 2) pixels; a point outside the image gets a pixel outside ``image_size``.

        Raises:
            ValueError: The points have fewer dimensions than the batch, or the intrinsics are unknown.
        """
        ray = points_camera[..., :2] / points_camera[..., 2:]
        bent = distort(ray, self._aligned("distortion", points_camera), self.distortion_model)
        return self._ray_to_pixels(bent)

    @full_precision
    def unproject(self, pixels: Tensor, depth: Tensor) -> Tensor:
        """Find the points at given depths that are seen at given pixels: the inverse of :meth:`project`.

        The distortion is undone by :func:`liftpose.geometry.distortion.undistort`: to 1e-9 in float64 within its
        domain, which every pixel of an ordinary calibrated lens belongs to.

        Args:
            pixels: (*batch, ..., 2) pixels.
            depth: (*batch, ...) metres, the z of the points in the camera frame.

        Returns:
            (*batch, ..., 3) metres, camera frame.

        Raises:
            ValueError: The pixels have fewer dimensions than the batch, or the intrinsics are unknown.
        """
        ray = self._pixels_to_ray(pixels)
        z = depth.unsqueeze(-1)
        xy = ray * z
        return torch.cat((xy, z.expand(*xy.shape[:-1], 1)), dim=-1)

    @full_precision
    def undistort(self, pixels: Tensor) -> Tensor:
        """Move pixels to where the same camera without distortion would see them: what triangulation has to be given.

        Args:
            pixels: (*batch, ..., 2) pixels of this camera.

        Returns:
            (*batch, ..., 2) pixels for the matrix :attr:`projection_matrix`.

        Raises:
            ValueError: The pixels have fewer dimensions than the batch, or the intrinsics are unknown.
        """
        return self._ray_to_pixels(self._pixels_to_ray(pixels))

    def _ray_to_pixels(self, ray: Tensor) -> Tensor:
        """Apply the affine part of the intrinsics to (already distorted) rays (*batch, ..., 2)."""
        self._check_intrinsics()
        matrix = self._aligned("intrinsics", ray)
        x, y = ray.unsqueeze(-2).unbind(-1)
        return x * matrix[..., :2, 0] + y * matrix[..., :2, 1] + matrix[..., :2, 2]

    def _pixels_to_ray(self, pixels: Tensor) -> Tensor:
        """Return the undistorted rays (*batch, ..., 2) that are seen at the pixels."""
        self._check_intrinsics()
        matrix = self._aligned("intrinsics", pixels)
        x, y = (pixels - matrix[..., :2, 2]).unbind(-1)
        a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
        bent = torch.stack((d * x - b * y, a * y - c * x), dim=-1) / (a * d - b * c).unsqueeze(-1)
        return undistort(bent, self._aligned("distortion", pixels), self.distortion_model)

    def _with_image(self, scale: Tensor, shift: Tensor, size: Tensor) -> Camera:
        """Return the cameras whose pixels are scale * pixel + shift (all (*batch, 2)), in images of the given size."""
        shifted = torch.cat((torch.zeros_like(self.intrinsics[..., :2, :2]), shift.unsqueeze(-1)), dim=-1)
        rows = self.intrinsics[..., :2, :] * scale.unsqueeze(-1) + shifted
        return replace(self, intrinsics=torch.cat((rows, self.intrinsics[..., 2:, :]), dim=-2), image_size=size)

    def _pair(self, first: float | Tensor, second: float | Tensor) -> Tensor:
        """Return two numbers, or tensors (*batch,), as (*batch, 2)."""
        pair = [
            torch.as_tensor(v, dtype=self.dtype, device=self.device).expand(self.batch_shape) for v in (first, second)
        ]
        return torch.stack(pair, dim=-1)

    def crop(self, x0: float | Tensor, y0: float | Tensor, width: float | Tensor, height: float | Tensor) -> Camera:
        """Return the cameras of a cut-out of the images.

        Args:
            x0: Pixels, column that becomes column 0; a number or (*batch,), may be negative.
            y0: Pixels, row that becomes row 0.
            width: Pixels, of the cut-out.
            height: Pixels, of the cut-out.

        Returns:
            Cameras for which ``project`` gives the old pixel minus (x0, y0).
        """
        shift = self._pair(x0, y0)
        return self._with_image(torch.ones_like(shift), -shift, self._pair(width, height))

    def resize(self, width: float | Tensor, height: float | Tensor) -> Camera:
        """Return the cameras of images scaled to another size.

        The outer borders of the images are mapped to each other, half a pixel outside the first pixel's centre:
        u' = (u + 0.5) s - 0.5. That is what ``align_corners=False`` and OpenCV's ``resize`` do to an image.

        Args:
            width: Pixels, a number or (*batch,).
            height: Pixels.

        Returns:
            Cameras of the scaled images.
        """
        size = self._pair(width, height)
        scale = size / self.image_size
        return self._with_image(scale, (scale - 1) / 2, size)

    def flip(self) -> Camera:
        """Return the cameras that take the mirrored image of the mirrored world.

        With S = diag(-1, 1, 1), the world is mirrored to S x_world and the image to column W - 1 - u. The flipped
        camera is an ordinary one again (its R is a rotation): ``flip().project(flip().to_camera(S x))`` is the mirrored
        ``project(to_camera(x))``, and its camera frame is the mirrored camera frame, S x_cam. So mirrored poses and
        mirrored pictures or keypoints fit together in every view of a rig; joints have to be exchanged by the
        skeleton's ``mirror_index`` besides. The published flip of screen coordinates, x to -x, mirrors to column W - u.

        Returns:
            Flipped cameras; flipping twice gives the first ones.
        """
        # x becomes -x on both sides of a matrix: the entries that link x to the other axes change sign.
        both = self.R.new_tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
        sign = self.R.new_tensor([-1.0, 1.0, 1.0])
        affine = self.intrinsics[..., :2] * both[:, :2]
        column = self.intrinsics[..., 2] * sign
        mirrored = torch.stack((column[..., 0] + self.image_size[..., 0] - 1, column[..., 1], column[..., 2]), dim=-1)
        # The tangential coefficient that belongs to x: t0 of the authors' model, p2 of OpenCV's. Both are entry 3.
        odd = self.distortion.new_tensor([1.0, 1.0, 1.0, -1.0, 1.0])
        return replace(
            self,
            R=self.R * both,
            t=self.t * sign,
            intrinsics=torch.cat((affine, mirrored.unsqueeze(-1)), dim=-1),
            distortion=self.distortion * odd,
        )

    def to_dict(self) -> dict[str, Any]:
        """Write a single camera as plain lists, the form that the sidecar of a data set holds.

        Returns:
            ``R``, ``t`` (metres), ``intrinsics`` (pixels; None where they are unknown), ``distortion``,
            ``distortion_model`` and ``image_size``.

        Raises:
            ValueError: A batch of cameras.
        """
        if self.batch_shape:
            raise ValueError(f"expected a single camera, found a batch of shape {tuple(self.batch_shape)}")
        content: dict[str, Any] = {name: getattr(self, name).tolist() for name in CAMERA_FIELDS}
        if not self.has_intrinsics:
            content["intrinsics"] = None
        content["distortion_model"] = self.distortion_model
        return content

    @staticmethod
    def from_dict(content: Mapping[str, Any], where: str = "camera", dtype: torch.dtype = torch.float32) -> Camera:
        """Read a single camera from plain lists, as :meth:`to_dict` writes them.

        Args:
            content: The six entries of :meth:`to_dict`. ``distortion`` may be empty if the model is ``"none"``,
                ``intrinsics`` None where they are unknown.
            where: What messages call it, for example the file and the camera's number.
            dtype: Type of the numbers.

        Returns:
            The camera.

        Raises:
            LiftposeError: An entry is missing, unknown, of the wrong shape or not a possible value.
        """
        fields = read_camera_fields(content, where)
        return Camera(
            distortion_model=content["distortion_model"],
            **{name: value.to(dtype) for name, value in fields.items()},
        )
