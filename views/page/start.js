// What begins, and what can be asked of the page from outside: window.empower.

try {
  const page = Page.open();
  page.start();
  window.empower = {
    page,
    poses: () => page.viewers.map((viewer) => ({
      letter: viewer.letter, map: viewer.map ? viewer.map.number : null, cell: viewer.cell, time: viewer.time,
      qpos: Array.from(viewer.qpos), ...viewer.pose,
    })),
    forward,
    raster: (map, slice, width, height) => Array.from(raster(map, slice, width, height)),
    seek: (time) => {
      page.setPlaying(false);
      page.time = time;
      page.dirty = true;
      page.advance(0);
    },
  };
} catch (error) {
  const box = document.getElementById("failure");
  box.hidden = false;
  box.textContent = `This page cannot be shown: ${error.message}`;
  throw error;
}
