"""Put a video behind what a ray caster drew, by its exact segmentation: one kernel."""

from typing import no_type_check

import warp as wp


@no_type_check  # what follows is Warp, not Python
@wp.func
def _on_sky(direction: wp.vec3) -> wp.vec2:
    """Say where on its face a direction meets the sky: across and down, each in [0, 1].

    OpenGL's cube map, which MuJoCo turns by a right angle about x; so faces at the sides appear mirrored.
    """
    x = direction[0]
    y = direction[1]
    z = direction[2]
    across = x
    down = -z
    largest = wp.max(wp.abs(x), wp.max(wp.abs(y), wp.abs(z)))
    if wp.abs(x) == largest:
        across = wp.sign(x) * y
    elif wp.abs(z) == largest:
        down = -wp.sign(z) * y
    else:
        across = -wp.sign(y) * x
    return wp.vec2(0.5 + 0.5 * across / largest, 0.5 + 0.5 * down / largest)


@no_type_check
@wp.func
def _floats(colour: wp.vec3ub) -> wp.vec3:
    return wp.vec3(float(colour[0]), float(colour[1]), float(colour[2]))


@no_type_check
@wp.func
def _between(frames: wp.array2d[wp.vec3ub], frame: int, window: int, place: wp.vec2) -> wp.vec3:
    """Interpolate a frame linearly between the middles of its pixels."""
    u = wp.clamp(place[0] * float(window) - 0.5, 0.0, float(window - 1))
    v = wp.clamp(place[1] * float(window) - 0.5, 0.0, float(window - 1))
    left = int(u)
    top = int(v)
    right = wp.min(left + 1, window - 1)
    bottom = wp.min(top + 1, window - 1)
    u = u - float(left)
    v = v - float(top)
    above = wp.lerp(_floats(frames[frame, top * window + left]), _floats(frames[frame, top * window + right]), u)
    below = wp.lerp(_floats(frames[frame, bottom * window + left]), _floats(frames[frame, bottom * window + right]), u)
    return wp.lerp(above, below, v)


@no_type_check
@wp.kernel(enable_backward=False)
def composite(
    packed: wp.array2d[wp.uint32],  # (N, size * size), bytes B, G, R, A
    segmentation: wp.array2d[wp.vec2i],  # (N, size * size), geom or -1 in the first place
    opacity: wp.array[float],  # (geoms,) of each in front of the video
    frames: wp.array2d[wp.vec3ub],  # (frames, window * window)
    current: wp.array[wp.int32],  # (N,)
    rays: wp.array[wp.vec3],  # (size * size,) through the pixels, in the camera's axes
    cam_xmat: wp.array2d[wp.mat33],  # (N, cameras)
    camera: int,
    size: int,
    window: int,  # 0: no video
    around: bool,
    image: wp.array2d[wp.vec3ub],  # (N, size * size)
):
    n, pixel = wp.tid()
    y = pixel // size
    margin = (size - window) // 2
    u = pixel - y * size - margin
    v = y - margin
    front = 1.0
    if around or (u >= 0 and v >= 0 and u < window and v < window):
        geom = segmentation[n, pixel][0]
        front = 0.0
        if geom >= 0:
            front = opacity[geom]
    if front == 0.0 and not around:
        image[n, pixel] = frames[current[n], v * window + u]
        return
    word = packed[n, pixel]
    byte = wp.uint32(255)
    colour = wp.vec3ub(
        wp.uint8(word >> wp.uint32(16) & byte), wp.uint8(word >> wp.uint32(8) & byte), wp.uint8(word & byte)
    )
    if front == 1.0:
        image[n, pixel] = colour
        return
    behind = wp.vec3()
    if around:
        behind = _between(frames, current[n], window, _on_sky(cam_xmat[n, camera] @ rays[pixel]))
    else:
        behind = _floats(frames[current[n], v * window + u])
    mixed = wp.lerp(behind, _floats(colour), front) + wp.vec3(0.5)
    image[n, pixel] = wp.vec3ub(wp.uint8(mixed[0]), wp.uint8(mixed[1]), wp.uint8(mixed[2]))
