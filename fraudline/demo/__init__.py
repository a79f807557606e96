"""The demo: the main job once, end to end, on an embedded stack, checking itself."""

from fraudline.demo.run import run_demo

__all__ = ["run_demo"]
