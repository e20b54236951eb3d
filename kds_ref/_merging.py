"""From points that are neighbours to groups with a mean, a label and a size: the graph part of `merge_modes`."""

from __future__ import annotations

import array_api_compat

from kds_ref._arrays import Array, Namespace


def components(near: Array, xp: Namespace) -> Array:
    """(..., M, M) truth of being neighbours -> (..., M) smallest index in each point's connected component."""
    count = near.shape[-1]
    labels = xp.broadcast_to(xp.arange(count, device=array_api_compat.device(near)), near.shape[:-1])
    while True:
        around = xp.where(near, xp.expand_dims(labels, axis=-2), count)  # (..., M, M)
        smallest = xp.min(around, axis=-1)  # a point is its own neighbour, so this never grows
        if bool(xp.all(smallest == labels)):
            return smallest
        labels = smallest


def modes_of_one(points: Array, components: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """Points (M, D) and their components (M,) -> modes (K, D), labels (M,) and sizes (K,), in order."""
    groups = []
    for component in xp.unique_values(components):
        inside = components == component
        members = points[inside]
        # from the first one, so that equal points have exactly their own mean
        mean = members[0, :] + xp.mean(members - members[:1, :], axis=0)
        groups.append((-members.shape[0], [float(value) for value in mean], mean, inside))
    groups.sort(key=lambda group: group[:2])
    device = array_api_compat.device(points)
    labels = xp.zeros(components.shape, dtype=components.dtype, device=device)
    for row, (_, _, _, inside) in enumerate(groups):
        labels = xp.where(inside, row, labels)
    sizes = xp.asarray([-negative for negative, _, _, _ in groups], dtype=components.dtype, device=device)
    return xp.stack([mean for _, _, mean, _ in groups]), labels, sizes


def padded(rows: Array, count: int, value: float, xp: Namespace) -> Array:
    """Rows (K, ...) with more rows of the value, up to the count."""
    shape = (count - rows.shape[0], *rows.shape[1:])
    return xp.concat([rows, xp.full(shape, value, dtype=rows.dtype, device=array_api_compat.device(rows))])
