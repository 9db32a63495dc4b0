"""Pixels without a graphics library: MuJoCo Warp's ray caster, and video composited through exact segmentation."""

import dataclasses
import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp
from torch import Tensor

from envs import terrain, warp_runtime
from envs.added_geoms import AddedGeoms
from envs.checks import check_choice, check_whole
from envs.compositing import composite
from envs.cores import cores
from envs.scene import BACKGROUNDS, KINEMATICS, SITES, TERRAIN, Backdrop, geom_groups, poses_drawn

SMALLEST_SHARD = 4  # environments; below this a second thread costs more than it brings


@dataclass(frozen=True)
class _Shard:
    """Hold what one render thread owns: a run of environments and their ray-caster buffers."""

    rows: slice
    model: mjw.Model
    data: mjw.Data
    context: mjw.RenderContext
    poses: dict[str, Tensor]  # float32 views of `data`
    colours: Tensor  # (n, materials, 4), a view of the model that `trace` draws
    ground: terrain.Terrain | None
    trace: warp_runtime.Graph  # cast the rays


class Renderer:
    """Render N environments of one model, each from its own poses, as NHWC uint8.

    `background` names what a video replaces: "sky" is where the ray meets nothing, "sky+floor" adds planes, "sky+grid"
    adds what has dm_control's floor material, `grid`. Of the floor that a video replaces, `opacity` stays.
    Outside the video's window the picture is the clean one. `quality` adds shadows and supersampling, for people.
    On the CPU the environments are shared among `threads` (default: one a core); threads share nothing, so their
    number does not change a pixel. On CUDA the work is queued on torch's current stream, and nothing waits for it.
    `fields` names the poses that it draws, and where there is a terrain its heights. Tendons that touch more than two
    sites are not drawn, and of skins what collides below them.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_envs: int,
        size: int = 64,
        background: str = "sky+floor",
        opacity: float = 0.0,
        camera: int = 0,
        device: torch.device | str = "cpu",
        threads: int | None = None,
        quality: bool = False,
    ) -> None:
        check_choice("background", background, BACKGROUNDS)
        check_whole(1, num_envs=num_envs, size=size, threads=threads)
        if not 0 <= camera < model.ncam:
            raise ValueError(f"camera {camera} does not exist: the model has {model.ncam}")
        warp_runtime.start()
        self.num_envs, self.size, self.device = num_envs, size, torch.device(device)
        self.camera, self._model, self._quality = camera, model, quality
        self.fields = poses_drawn(model)
        self._opacity = np.where(floor(model, background), np.float32(opacity), np.float32(1))  # (geoms,)
        with warp_runtime.scope(self.device):
            self._mjw_model = mjw.put_model(model)
            self._added = AddedGeoms(model, self.device)
            opacities = np.append(self._opacity, np.ones(self._added.count))
            self._geom_opacity: wp.array = wp.array(opacities, dtype=wp.float32)  # (all geoms,)
        self._colours = torch.from_numpy(model.mat_rgba).to(self.device, copy=True)  # (materials, 4)
        count = 1
        if self.device.type == "cpu":
            count = max(1, min(threads or cores(), num_envs // SMALLEST_SHARD))
        edges = [num_envs * i // count for i in range(count + 1)]
        self._rows = [slice(*pair) for pair in itertools.pairwise(edges)]
        self._pool = ThreadPoolExecutor(count) if count > 1 else None
        self._shards: dict[bool, list[_Shard]] = {}
        self._no_video = Backdrop(
            torch.zeros(1, 1, 1, 3, dtype=torch.uint8, device=self.device),
            torch.zeros(num_envs, dtype=torch.int32, device=self.device),
        )

    def render(
        self, poses: Mapping[str, Tensor], backdrop: Backdrop | None = None, colours: Tensor | None = None
    ) -> Tensor:
        """Draw every environment -> (N, size, size, 3) uint8, a new tensor. The arguments are a Scene's."""
        video = backdrop or self._no_video
        window = 0 if backdrop is None else video.frames.shape[1]
        if window > self.size and not video.around:
            raise ValueError(f"a video {window} pixels wide does not fit into a picture of {self.size}")
        image = torch.empty(self.num_envs, self.size, self.size, 3, dtype=torch.uint8, device=self.device)
        with warp_runtime.scope(self.device):
            shards = self._prepare(covered=video.around or window == self.size)

            def draw(shard: _Shard) -> None:
                self._pose(shard, poses, colours)
                shard.trace()
                self._composite(shard, video, window, image)

            if self._pool is None:
                draw(shards[0])
            else:
                list(self._pool.map(draw, shards))
        return image

    def close(self) -> None:
        """Stop the render threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _pose(self, shard: _Shard, poses: Mapping[str, Tensor], colours: Tensor | None) -> None:
        for name, values in shard.poses.items():
            values.copy_(poses[name][shard.rows].reshape(values.shape))
        if self._added.count:
            places, frames = (poses[name][shard.rows] for name in SITES)
            self._added.place(places, frames, shard.model, shard.data)
        if shard.ground is not None:
            shard.ground.shape(poses[TERRAIN][shard.rows])
        if colours is None:
            shard.colours.copy_(self._colours)
        else:
            shard.colours[..., :3].copy_(colours[shard.rows])

    def _composite(self, shard: _Shard, video: Backdrop, window: int, image: Tensor) -> None:
        wp.launch(
            composite,
            dim=(shard.rows.stop - shard.rows.start, self.size * self.size),
            inputs=[
                shard.context.rgb_data,
                shard.context.seg_data,
                self._geom_opacity,
                wp.from_torch(video.frames.flatten(1, 2), dtype=wp.vec3ub),
                wp.from_torch(video.current[shard.rows]),
                shard.context.ray,
                shard.data.cam_xmat,
                self.camera,
                self.size,
                window,
                video.around,
            ],
            outputs=[wp.from_torch(image[shard.rows].flatten(1, 2), dtype=wp.vec3ub)],
        )

    def _prepare(self, covered: bool) -> list[_Shard]:
        """Make buffers when first needed: for clean pictures, and for those whose background a video covers wholly."""
        if covered not in self._shards:
            self._shards[covered] = [self._make_shard(rows, covered) for rows in self._rows]
        return self._shards[covered]

    def _make_shard(self, rows: slice, covered: bool) -> _Shard:
        num_envs = rows.stop - rows.start
        data = mjw.make_data(self._model, nworld=num_envs, nconmax=0, njmax=0)
        colours = self._colours.float().repeat(num_envs, 1, 1)  # (n, materials, 4)
        model = dataclasses.replace(self._mjw_model, mat_rgba=wp.from_torch(colours, dtype=wp.vec4))
        context = mjw.create_render_context(
            self._model,
            nworld=num_envs,
            cam_res=(self.size, self.size),
            render_rgb=True,
            render_depth=False,
            render_seg=True,
            cam_active=[self.camera],
            enabled_geom_groups=geom_groups(self._model),
            # Nobody sees the sky, or the texture of the floor, behind a video that covers them.
            render_skybox=not covered,
            use_textures=not covered or self._has_textures_in_front(),
            use_shadows=self._quality,
            samples_per_pixel=2 if self._quality else 1,
        )
        if self._added.count:
            model, data = self._added.add(self._model, model, data, context)
        model, ground = terrain.add(self._model, model, context, num_envs)

        def trace() -> None:
            mjw.refit_bvh(model, data, context)
            mjw.render(model, data, context)

        graph = warp_runtime.Graph(trace, self.device)
        graph()  # compile and build here, on one thread; the render threads then only launch
        poses = {name: wp.to_torch(getattr(data, name)) for name in KINEMATICS}
        poses |= {name: poses[name][:, : self._model.ngeom] for name in ("geom_xpos", "geom_xmat")}
        return _Shard(rows, model, data, context, poses, colours, ground, graph)

    def _has_textures_in_front(self) -> bool:
        materials = self._model.geom_matid[self._opacity > 0]
        return bool((self._model.mat_texid[materials[materials >= 0]] >= 0).any())


def floor(model: mujoco.MjModel, background: str) -> np.ndarray:
    """Say which geoms a background replaces beside the sky: (geoms,) bool."""
    if background == "sky+floor":
        return model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)
    grid = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_MATERIAL, "grid") if background == "sky+grid" else -1
    return (model.geom_matid == grid) & (grid >= 0)
