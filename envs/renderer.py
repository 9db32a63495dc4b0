"""Pixels without a graphics library: MuJoCo Warp's ray caster, and video composited through exact segmentation."""

import itertools
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, no_type_check

import mujoco
import mujoco_warp as mjw
import torch
import warp as wp
from torch import Tensor

from envs import warp_runtime
from envs.checks import check_choice, check_positive

KINEMATICS = ("geom_xpos", "geom_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir")
BACKGROUNDS = ("sky", "sky+floor")
SMALLEST_SHARD = 4  # environments; below this a second thread costs more than it brings


class Backdrop(NamedTuple):
    """Show `frames[current[n]]` behind environment n, in a centred window as large as the frames."""

    frames: Tensor  # (frames, window, window, 3) uint8
    current: Tensor  # (N,) int32


@no_type_check  # a kernel is Warp, not Python
@wp.kernel(enable_backward=False)
def _composite(
    packed: wp.array2d[wp.uint32],  # (N, size * size), bytes B, G, R, A
    segmentation: wp.array2d[wp.vec2i],  # (N, size * size), geom or -1 in the first place
    is_background: wp.array[wp.bool],  # (geoms,)
    frames: wp.array4d[wp.uint8],  # (frames, window, window, 3)
    current: wp.array[wp.int32],  # (N,)
    size: int,
    margin: int,  # pixels left of and above the window
    window: int,  # 0: no video
    image: wp.array4d[wp.uint8],  # (N, size, size, 3)
):
    n, pixel = wp.tid()
    y = pixel // size
    x = pixel - y * size
    u = x - margin
    v = y - margin
    if u >= 0 and v >= 0 and u < window and v < window:
        geom = segmentation[n, pixel][0]
        background = geom < 0
        if not background:
            background = is_background[geom]
        if background:
            frame = current[n]
            image[n, y, x, 0] = frames[frame, v, u, 0]
            image[n, y, x, 1] = frames[frame, v, u, 1]
            image[n, y, x, 2] = frames[frame, v, u, 2]
            return
    colour = packed[n, pixel]
    image[n, y, x, 0] = wp.uint8((colour >> wp.uint32(16)) & wp.uint32(255))
    image[n, y, x, 1] = wp.uint8((colour >> wp.uint32(8)) & wp.uint32(255))
    image[n, y, x, 2] = wp.uint8(colour & wp.uint32(255))


@dataclass(frozen=True)
class _Shard:
    """Hold what one render thread owns: a run of environments and their ray-caster buffers."""

    rows: slice
    data: mjw.Data
    context: mjw.RenderContext
    poses: dict[str, Tensor]  # float32 views of `data`


class Renderer:
    """Render N environments of one model, each from its own poses, as NHWC uint8.

    `background` names what a video replaces: "sky" is where the ray meets nothing, "sky+floor" adds planes.
    Outside the video's window the picture is the clean one. `quality` adds shadows and supersampling, for people.
    On the CPU the environments are shared among `threads` (default: one a core); threads share nothing, so their
    number does not change a pixel. On CUDA the work is queued on torch's current stream.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_envs: int,
        size: int = 64,
        camera: int = 0,
        device: torch.device | str = "cpu",
        background: str = "sky+floor",
        threads: int | None = None,
        quality: bool = False,
    ) -> None:
        check_choice("background", background, BACKGROUNDS)
        check_positive(num_envs=num_envs, size=size, threads=threads)
        if not 0 <= camera < model.ncam:
            raise ValueError(f"camera {camera} does not exist: the model has {model.ncam}")
        warp_runtime.start()
        self.num_envs, self.size, self.device = num_envs, size, torch.device(device)
        self._model, self._camera, self._quality = model, camera, quality
        planes = model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)
        self._background = planes & (background == "sky+floor")  # (geoms,)
        with warp_runtime.scope(self.device):
            self._mjw_model = mjw.put_model(model)
            self._is_background: wp.array = wp.array(self._background, dtype=wp.bool)
        count = 1
        if self.device.type == "cpu":
            count = max(1, min(threads or os.cpu_count() or 1, num_envs // SMALLEST_SHARD))
        edges = [num_envs * i // count for i in range(count + 1)]
        self._rows = [slice(*pair) for pair in itertools.pairwise(edges)]
        self._pool = ThreadPoolExecutor(count) if count > 1 else None
        self._shards: dict[bool, list[_Shard]] = {}
        self._no_video = Backdrop(
            torch.zeros(1, 1, 1, 3, dtype=torch.uint8, device=self.device),
            torch.zeros(num_envs, dtype=torch.int32, device=self.device),
        )

    def render(self, kinematics: Mapping[str, Tensor], video: Backdrop | None = None) -> Tensor:
        """Draw every environment -> (N, size, size, 3) uint8, a new tensor.

        `kinematics` holds the engine's poses under the names of KINEMATICS, (N, ...) of any floating type.
        """
        window = 0 if video is None else video.frames.shape[1]
        if window > self.size:
            raise ValueError(f"a video {window} pixels wide does not fit into a picture of {self.size}")
        backdrop = video or self._no_video
        image = torch.empty(self.num_envs, self.size, self.size, 3, dtype=torch.uint8, device=self.device)
        with warp_runtime.scope(self.device):
            shards = self._prepare(covered=window == self.size)

            def draw(shard: _Shard) -> None:
                self._draw(shard, kinematics, backdrop, window, image)

            if self._pool is None:
                draw(shards[0])
            else:
                list(self._pool.map(draw, shards))
        return image

    def close(self) -> None:
        """Stop the render threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _draw(
        self, shard: _Shard, kinematics: Mapping[str, Tensor], video: Backdrop, window: int, image: Tensor
    ) -> None:
        for name, poses in shard.poses.items():
            poses.copy_(kinematics[name][shard.rows].reshape(poses.shape))
        mjw.refit_bvh(self._mjw_model, shard.data, shard.context)
        mjw.render(self._mjw_model, shard.data, shard.context)
        wp.launch(
            _composite,
            dim=(shard.rows.stop - shard.rows.start, self.size * self.size),
            inputs=[
                shard.context.rgb_data,
                shard.context.seg_data,
                self._is_background,
                wp.from_torch(video.frames),
                wp.from_torch(video.current[shard.rows]),
                self.size,
                (self.size - window) // 2,
                window,
            ],
            outputs=[wp.from_torch(image[shard.rows])],
        )

    def _prepare(self, covered: bool) -> list[_Shard]:
        """Make buffers when first needed: for clean pictures, and for those whose background a video covers wholly."""
        if covered not in self._shards:
            self._shards[covered] = [self._make_shard(rows, covered) for rows in self._rows]
        return self._shards[covered]

    def _make_shard(self, rows: slice, covered: bool) -> _Shard:
        num_envs = rows.stop - rows.start
        data = mjw.make_data(self._model, nworld=num_envs)
        context = mjw.create_render_context(
            self._model,
            nworld=num_envs,
            cam_res=(self.size, self.size),
            render_rgb=True,
            render_depth=False,
            render_seg=True,
            cam_active=[self._camera],
            # Nobody sees the sky, or the texture of the floor, behind a video that covers them.
            render_skybox=not covered,
            use_textures=not covered or self._has_textures_in_front(),
            use_shadows=self._quality,
            samples_per_pixel=2 if self._quality else 1,
        )
        # Compile and build here, on one thread; the render threads then only launch.
        mjw.refit_bvh(self._mjw_model, data, context)
        mjw.render(self._mjw_model, data, context)
        return _Shard(rows, data, context, {name: wp.to_torch(getattr(data, name)) for name in KINEMATICS})

    def _has_textures_in_front(self) -> bool:
        materials = self._model.geom_matid[~self._background]
        return bool((self._model.mat_texid[materials[materials >= 0]] >= 0).any())
