"""The inner loops of the kernels, compiled: one pass over the rows where numpy makes dozens.

Each says in one loop what its numpy twin says in array expressions, operation by operation and width by
width, so that both give the same bits (tests/kernels/test_compiled.py). `compiled.loops` decides which one
runs; nothing else imports this module, since numba takes half a second to load. No fastmath: it would
reorder sums.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_F4 = np.float32
_FULL = _F4(6)


@numba.njit(cache=True, nogil=True)
def push(
    rows: Any,
    z: Any,
    agreed: bool,
    last: Any,
    count: Any,
    points: Any,
    sixes: Any,
    blocks: Any,
    means: Any,
    fresh: Any,
) -> None:
    """Add a point to some rows of the rings (kernels/rings.py)."""
    for i in range(len(rows)):
        row = rows[i]
        point, before = _F4(z[row]), last[row]
        last[row] = point
        value = point
        if not np.isnan(before):
            nearer = point if abs(point) < abs(before) else before
            common = nearer if point * before > _F4(0) else _F4(0)
            means[0, row] = common
            fresh[0, row] = True
            value = common if agreed else point
        elif agreed:
            continue
        c = np.int64(count[row]) + 1
        count[row] = c
        step = 1
        for level in range(1, 4):
            ring = points if level == 1 else sixes if level == 2 else blocks
            ring[(c // step - 1) % 6, row] = value
            total = ring[0, row]
            for j in range(1, 6):
                total = _F4(total + ring[j, row])
            value = _F4(total / _FULL)
            if c >= step * 6:
                means[level, row] = value
                fresh[level, row] = True
            step *= 6
            if c % step != 0:
                break


@numba.njit(cache=True, nogil=True)
def hold(x: Any, ts: Any, end: int, keep: float, steady: int, state: Any, held: Any, gap: Any) -> None:
    """Take a round into the held values (detect/held.py). state: (x, ts, rhythm, gaps)."""
    last_x, last, rhythm, gaps = state
    for i in range(len(x)):
        if np.isfinite(x[i]):
            g = ts[i] - last[i] if last[i] >= 0 else 0
            gap[i] = g
            if g > 0 and gaps[i] < steady:
                k, r = np.float64(gaps[i]), rhythm[i]
                reach = np.inf if k == 0 else np.float64(_F4(r * _F4(0.1))) * (1 - k / steady)
                rhythm[i] = _F4(np.float64(r) + min(max(np.float64(g) - np.float64(r), -reach), reach))
                gaps[i] += 1
            last_x[i], last[i] = x[i], ts[i]
            held[i] = x[i]
        elif last[i] >= 0 and end - last[i] <= max(keep * np.float64(rhythm[i]), 1.0):
            held[i] = last_x[i]
        else:
            held[i] = np.nan


@numba.njit(cache=True, nogil=True)
def lag(f: Any, u: Any, alpha: Any) -> None:
    """Let first-order lags follow their drivers (detect/drivers.py). f: (J, n) float32."""
    for j in range(f.shape[0]):
        for i in range(f.shape[1]):
            if np.isfinite(u[i]):
                old = f[j, i]
                if np.isnan(old):
                    f[j, i] = _F4(u[i])
                else:
                    f[j, i] = _F4(np.float64(old) + alpha[j] * (u[i] - np.float64(old)))


@numba.njit(cache=True, nogil=True)
def level(given: Any, times: Any, state: Any, out: Any) -> None:
    """Take a round of a baseline (kernels/baseline.py).

    given: (r, ts, rhythm, regime, lone, train, floor). times: (half normal, freeze, points, recent, long,
    cycles, served). state: (offset, points, learnt, spread, spread points, last, long). out: (d, sigma,
    offset, points, learnt).
    """
    r, ts, rhythm, regime, lone, train, floor = given
    half_normal, freeze_ms, enough, recent_ms, long_ms, cycles_ms, served = times
    c_offset, c_points, c_learnt, c_spread, c_spread_points, c_last, c_long = state
    out_d, out_sigma, out_offset, out_support, out_learnt = out
    for i in range(len(r)):
        at = regime[i]
        offset = np.float64(c_offset[at, i])
        support, learnt = np.int64(c_points[at, i]), np.int64(c_learnt[at, i])
        sigma = max(np.float64(_F4(_F4(half_normal) * c_spread[i])), floor[i])
        out_sigma[i], out_offset[i], out_support[i], out_learnt[i] = sigma, offset, support, learnt
        if not np.isfinite(r[i]):
            out_d[i] = np.nan
            continue
        d = r[i] - offset
        from_long = r[i] - np.float64(c_long[i])
        if lone[i]:
            if learnt >= cycles_ms:
                d = from_long
            elif d * from_long > 0:
                d = d if abs(d) < abs(from_long) else from_long
            else:
                d = 0.0
        out_d[i] = d if support > 0 else 0.0
        gap = min(np.float64(ts[i] - c_last[i]), 2 * rhythm[i]) if c_last[i] >= 0 else 0.0
        c_last[i] = ts[i]
        if not (train[i] and (learnt < freeze_ms or support < enough or lone[i])):
            continue
        k = support + 1
        away = r[i] - offset
        if k > 10:
            away = min(max(away, -4 * sigma), 4 * sigma)
        recent = gap / recent_ms if lone[i] else 0.0
        step = r[i] if k == 1 else max(1.0 / k, recent) * away
        c_offset[at, i] = _F4(c_offset[at, i] + _F4(step))
        c_points[at, i] = k
        c_learnt[at, i] = np.int32(min(np.float64(learnt) + gap, np.float64(served)))
        n = np.int64(c_spread_points[i]) + 1
        gain = max(1.0 / n, gap / long_ms)
        size = abs(from_long) if lone[i] else abs(d)
        if n > 10:
            size = min(size, 6 * sigma)
        if lone[i]:
            c_long[i] = _F4(c_long[i] + _F4(gain * from_long))
        if k > 1:
            c_spread[i] = _F4(c_spread[i] + _F4(gain * (size - np.float64(c_spread[i]))))
            c_spread_points[i] = n


@numba.njit(cache=True, nogil=True)
def cells(given: Any, frames: Any, limits: Any, sentinels: Any, out: Any) -> Any:
    """Clean the cells of a tick (ingest/cells.py), in place and to the front.

    given: (series, entity, value) by cell. frames: (cells, ts, source) by frame. limits: (low, high, strict,
    catalogued) by series. out: (series, ts) by cell, (last ts, source) by entity. Returns how many are clean,
    and how many are a sentinel, not finite, out of range, uncatalogued.
    """
    series, entity, value = given
    counts, frame_ts, frame_who = frames
    low, high, strict, catalogued = limits
    out_series, out_ts, last, owner = out
    cell, n = 0, 0
    sentinel, not_finite, outside, uncatalogued = 0, 0, 0, 0
    for frame in range(len(counts)):
        for _ in range(counts[frame]):
            s, v, e = series[cell], value[cell], entity[cell]
            cell += 1
            if s < 0 or np.isnan(v):
                continue
            last[e], owner[e] = frame_ts[frame], frame_who[frame]
            if not catalogued[s]:
                uncatalogued += 1
            word = False
            if len(sentinels) and v >= sentinels[0]:
                for k in range(len(sentinels)):
                    word = word or v == sentinels[k]
            if word:
                sentinel += 1
            elif np.isinf(v):
                if strict[s]:
                    not_finite += 1
                    word = True
            elif v < low[s] or v > high[s]:
                outside += 1
                word = True
            if not word:
                out_series[n], out_ts[n], value[n] = s, frame_ts[frame], v
                n += 1
    return n, sentinel, not_finite, outside, uncatalogued


@numba.njit(cache=True, nogil=True)
def score(given: Any, pools: Any, tails: Any, limits: Any, out: Any, learnt: Any) -> None:
    """Score the means that moved, and count those that train (kernels/evidence.py, kernels/tails.py).

    given: (means, fresh) by scale and row, (pool, points, train) by row. pools: (spread, ready) by pool and
    scale, young by pool. tails: (table, u, at u, beta, fitted). limits: (near, few, width, bins, far). out:
    (up, down) by scale and row. learnt: counts by cell and bin, (seen, size) by pool and scale, added to.
    """
    means, fresh, pool, points, train = given
    spread, ready, young = pools
    table, u, at_u, beta, fitted = tails
    near, few, width, bins, most = limits
    up, down = out
    counts, seen, size = learnt
    scales = means.shape[0]
    for k in range(scales):
        for i in range(means.shape[1]):
            if not fresh[k, i]:
                continue
            p, m = pool[i], np.float64(means[k, i])
            t = m / np.sqrt(spread[p, k] * spread[p, k] + young[p] / max(points[i], 1.0))
            cell, far = (p * scales + k) * 2 + (t < 0), abs(t)
            if far > near and fitted[cell] >= few:
                if far <= u[cell]:
                    place = min(far / width, bins - 1 - 1e-9)
                    bin_ = np.int64(place)
                    left = table[cell, bin_]
                    nats = left + (table[cell, bin_ + 1] - left) * (place - bin_)
                else:
                    nats = at_u[cell] + (far - u[cell]) / beta[cell]
                if t > 0:
                    up[k, i] = nats
                else:
                    down[k, i] = nats
            if train[i]:
                seen[p, k] += 1
                size[p, k] += min(abs(m), most * spread[p, k]) if ready[p, k] else abs(m)
                if ready[p, k]:
                    counts[cell, np.int64(min(far / width, float(bins - 1)))] += 1
