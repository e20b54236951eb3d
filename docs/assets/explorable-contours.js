// The kernel density estimate of points in the picture, and its contours. It stands for too many pictures to be computed
// when the site is built, so this is the one thing that the page computes. tests/site/test_explorable.py holds it to
// kds_ref.log_density and toy.figure.contour_levels.
window.kdsContours = (() => {
  "use strict";
  const POINTS = 241; // of the grid, along each side

  // phat at the points of the grid (KDS Eq. 1 (v1), Gaussian kernel), row by row from the top.
  function density(points, h, side) {
    const step = (side - 1) / (POINTS - 1);
    const bump = (centre) =>
      Float64Array.from({ length: POINTS }, (_, i) => Math.exp(-((i * step - centre) ** 2) / (2 * h * h)));
    const values = new Float64Array(POINTS * POINTS);
    const factor = 1 / (points.length * 2 * Math.PI * h * h);
    for (const [x, y] of points) {
      const [across, down] = [bump(x), bump(y)]; // the Gaussian is a product of the two
      for (let i = 0; i < POINTS; i += 1) {
        const weight = factor * down[i];
        for (let j = 0; j < POINTS; j += 1) values[i * POINTS + j] += weight * across[j];
      }
    }
    return values;
  }

  // The heights whose contours enclose these parts of the mass on the grid.
  function levels(values, masses) {
    const ordered = Float64Array.from(values).sort().reverse();
    const total = ordered.reduce((sum, value) => sum + value, 0);
    return masses.map((mass) => {
      let sum = 0;
      return ordered.find((value) => (sum += value) >= mass * total);
    });
  }

  function crossed(values, i, level) {
    const above = values[i] > level;
    return [1, POINTS, POINTS + 1].some((step) => values[i + step] > level !== above);
  }

  // The contour of one height as a path of SVG: in each cell of the grid, straight from edge to edge.
  function path(values, level, side) {
    const step = (side - 1) / (POINTS - 1);
    const parts = [];
    for (let i = 0; i + 1 < POINTS; i += 1) {
      for (let j = 0; j + 1 < POINTS; j += 1) {
        if (!crossed(values, i * POINTS + j, level)) continue;
        const corners = [[i, j], [i, j + 1], [i + 1, j + 1], [i + 1, j]];
        const heights = corners.map(([row, column]) => values[row * POINTS + column] - level);
        const crossings = [];
        for (let k = 0; k < 4; k += 1) {
          const [from, to] = [heights[k], heights[(k + 1) % 4]];
          if (from > 0 === to > 0) continue;
          const part = from / (from - to);
          const [start, end] = [corners[k], corners[(k + 1) % 4]];
          const [row, column] = [0, 1].map((axis) => start[axis] + part * (end[axis] - start[axis]));
          crossings.push(`${Math.round(column * step)} ${Math.round(row * step)}`);
        }
        // Two crossings are one line; four, at a saddle, are two, which may be paired either way.
        for (let k = 0; k < crossings.length; k += 2) parts.push(`M${crossings[k]}L${crossings[k + 1]}`);
      }
    }
    return parts.join("");
  }

  return { POINTS, density, levels, path };
})();
