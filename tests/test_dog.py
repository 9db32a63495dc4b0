"""What is special about the dog."""

import envs


def test_a_dog_is_seen() -> None:
    """Its shapes are green (0, 128, 128), the ground is blue; the skin that dm_control draws is no shape."""
    pixels = envs.make("dog_stand", 3, pixels=True).reset()["pixels"].int()  # (3, 64, 64, 3)
    red, green, blue = pixels.unbind(3)
    dog = (green > 0.85 * blue) & (green > red + 20)
    assert dog.float().mean((1, 2)).min() > 0.02
