"""Euclidean distances between the rows of two sets of features: exact to float64, at about the cost of fp32.

Distances are differences of large squares. In fp32 these lose small distances; in float64 they take more than twice
the time. So products in fp32 come first, with a bound on their rounding. It rules out nearly all pairs as neighbours or
as members of a ball, and the distances of the others are calculated from differences in float64. Where the bound leaves
many pairs, as between the points of dense clusters, products in float64 decide.

Distances are computed in square tiles, so that they are never all in memory; of a set's distances from itself, those
below the diagonal are those above it.
"""

from collections.abc import Iterator
from math import isqrt
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from lightning_gan.metrics.centred_features import centred, fp32_products
from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures

TILE_ELEMENTS = 2**20
"""Number of distances in memory at a time: 4 MiB in fp32."""

PAIR_ELEMENTS = 2**18
"""Number of features of pairs in memory at a time, few enough for a processor's cache: 2 MiB in float64."""

FURTHER_ROUNDINGS = 32
"""More than the roundings of a squared distance beside those of the sum in its product: of the features, the norms, and
sums of both."""

FLOAT64_TO_FP32 = 2.0**-29
"""A rounding in float64, relative to one in fp32."""

SPARE_NEIGHBOURS = 8
"""Number of candidates beyond k: with more of them fewer rows need products in float64."""

PAIRS_PER_TILE = 2**14
"""Most distances of a tile that are calculated from differences; products in float64 take about as long for all."""


class Neighbour(NamedTuple):
    """A neighbour of every row among the columns, such as the third nearest.

    Attributes:
        distance: its distance, `[rows]` in float64.
        place: its place among the columns, `[rows]`.
    """

    distance: Float64[Tensor, " rows"]
    place: Int64[Tensor, " rows"]


class _Nearest(NamedTuple):
    """The nearest columns of rows, `[rows, count]`, in increasing order of their distances, or of bounds on them."""

    distances: Tensor
    places: Tensor

    def merged(self, distances: Tensor, *, start: int) -> "_Nearest":
        """Returns as many of the nearest, also among more columns.

        Args:
            distances: distances of these columns, `[rows, columns]`.
            start: place of the first of these columns.
        """
        count = self.distances.shape[1]
        nearest = distances.topk(min(count, distances.shape[1]), dim=1, largest=False)
        both = torch.cat([self.distances, nearest.values], dim=1).topk(count, dim=1, largest=False)
        places = torch.cat([self.places, nearest.indices + start], dim=1).gather(1, both.indices)
        return _Nearest(both.values, places)


def _none_yet(rows: int, count: int, *, like: Tensor) -> _Nearest:
    places = torch.zeros(rows, count, dtype=torch.int64, device=like.device)
    return _Nearest(like.new_full((rows, count), torch.inf), places)


def _kth(candidates: _Nearest, k: int) -> Neighbour:
    places, order = candidates.places.sort(dim=1)  # so that of equal distances the first place comes first
    distances, chosen = candidates.distances.gather(1, order).sort(dim=1, stable=True)
    return Neighbour(distances[:, k - 1], places.gather(1, chosen)[:, k - 1])


def _slices(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def _squared_norms(features: Tensor) -> Tensor:
    parts = _slices(len(features), max(1, PAIR_ELEMENTS // features.shape[1]))
    return torch.cat([features[part].double().square_().sum(1) for part in parts])


class PairwiseDistances:
    """The Euclidean distances between every row and every column.

    Args:
        rows: feature vectors.
        columns: feature vectors of the same length, or the same tensor.
    """

    def __init__(self, rows: RealFeatures, columns: FakeFeatures) -> None:
        self.rows, self.columns = rows, columns
        self._side = isqrt(TILE_ELEMENTS)
        # The centred features are scaled, so that squares of features of any size fit into fp32.
        self._around = centred(rows, columns, dtype=torch.float32)
        row_norms, column_norms = _squared_norms(self._around.first), _squared_norms(self._around.second)
        # An fp32 sum of n products is off by at most n / 2^24 times the sum of their sizes, which is at most the mean
        # of the squared norms (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1). Products too
        # small for fp32 are off by less than its smallest normal number.
        length = rows.shape[1]
        relative, smallest = (length + FURTHER_ROUNDINGS) / 2**24, length * torch.finfo(torch.float32).tiny
        self._row_errors, self._column_errors = relative * row_norms + smallest, relative * column_norms + smallest
        # A squared distance is at least the row's part plus the column's part minus twice the product in fp32.
        self._row_parts, self._column_parts = row_norms - self._row_errors, column_norms - self._column_errors

    def _width(self, row: Tensor, column: Tensor) -> Tensor:
        """Returns how far the squared distances of pairs may be above their lower bounds."""
        width: Tensor = 2 * (self._row_errors[row] + self._column_errors[column])
        return width

    def _tiles(self, *, symmetric: bool) -> Iterator[tuple[slice, slice, Tensor]]:
        """Yields rows, columns and -2 times their products in fp32; if symmetric, no tiles below the diagonal."""
        first, second = self._around.first, self._around.second
        for row in _slices(len(first), self._side):
            doubled = -2 * first[row]
            for column in _slices(len(second), self._side):
                if not symmetric or column.start >= row.start:
                    with fp32_products(first.device):
                        products = doubled @ second[column].T
                    yield row, column, products

    def _from_differences(self, row: Tensor, column: Tensor) -> Tensor:
        """Returns the distances of pairs in float64.

        That of a pair does not depend on the order of the two, nor on the other pairs, so that a sample on the surface
        of a ball is found there.
        """
        distances = torch.empty(len(row), dtype=torch.float64, device=row.device)
        for some in _slices(len(row), max(1, PAIR_ELEMENTS // self.rows.shape[1])):
            pairs = self.rows[row[some], None].double(), self.columns[column[some], None].double()
            distances[some] = torch.cdist(*pairs, compute_mode="donot_use_mm_for_euclid_dist")[:, 0, 0]
        return distances

    def _from_products(self, row: Tensor | slice, column: slice) -> Tensor:
        """Returns the scaled squared distances between rows and columns from products in float64."""
        scale, centre = self._around.scale, self._around.centre
        rows, columns = ((some.double() - centre) / scale for some in (self.rows[row], self.columns[column]))
        squares = rows.square().sum(1, keepdim=True) + columns.square().sum(1) - 2 * rows @ columns.T
        return squares

    def kth_nearest(self, k: int, *, elsewhere: bool) -> Neighbour:
        """Returns the k-th nearest column of every row.

        Args:
            k: number of the neighbour, from 1 to the number of columns, or one less with `elsewhere`.
            elsewhere: whether the column at a row's own place is left out. A sample is excluded by its place, because
                others may be equal to it.
        """
        parts, same = self._column_parts.float(), self.rows is self.columns
        others = len(self.columns) - elsewhere
        lowest, places = _none_yet(len(self.rows), min(k + SPARE_NEIGHBOURS, others), like=self._around.first)
        for row, column, products in self._tiles(symmetric=same):
            if elsewhere and row.start == column.start:
                products.fill_diagonal_(torch.inf)
            looks = [(row, column, products)]
            if same and row.start < column.start:
                # A copy whose rows are in one piece is searched twice as fast.
                looks += [(column, row, products.T.clone(memory_format=torch.contiguous_format))]
            for some, among, bounds in looks:
                bounds += parts[among]
                lowest[some], places[some] = _Nearest(lowest[some], places[some]).merged(bounds, start=among.start)
        distance, place, certain = self._kth_of(_Nearest(lowest + self._row_parts[:, None], places), k, others=others)
        doubtful = (~certain).nonzero()[:, 0]
        for part in _slices(len(doubtful), self._side):
            rows = doubtful[part]
            nearest = _none_yet(len(rows), lowest.shape[1], like=distance)
            for column in _slices(len(self.columns), self._side):
                products = self._from_products(rows, column)
                if elsewhere:
                    products[rows[:, None] == torch.arange(column.start, column.stop, device=rows.device)] = torch.inf
                nearest = nearest.merged(products, start=column.start)
            own = rows[:, None].expand_as(nearest.places)
            exact = self._from_differences(own.flatten(), nearest.places.flatten()).reshape(own.shape)
            distance[rows], place[rows] = _kth(_Nearest(exact, nearest.places), k)
        return Neighbour(distance, place)

    def _kth_of(self, candidates: _Nearest, k: int, *, others: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns exact distance and place of the k-th nearest column, and whether they are certain.

        Args:
            candidates: the columns with the lowest bounds.
            k: which to return.
            others: number of columns that were searched.
        """
        lowest, places = candidates
        row = torch.arange(len(lowest), device=places.device)[:, None].expand_as(places)
        highest = lowest + self._width(row, places)
        least, most = lowest[:, k - 1 : k], highest.kthvalue(k, dim=1, keepdim=True).values
        # No column beyond the candidates can be as near as the k-th.
        certain = (most < lowest[:, -1:]) | (lowest.shape[1] == others)
        nearer, possible = highest < least, (lowest <= most) & (highest >= least) & certain
        exact = torch.full_like(lowest, torch.inf).masked_fill(nearer, -torch.inf)
        exact[possible] = self._from_differences(row[possible], places[possible])
        return *_kth(_Nearest(exact, places), k), certain[:, 0]

    def within(
        self, row_radii: Float64[Tensor, " rows"], column_radii: Float64[Tensor, " columns"]
    ) -> Iterator[tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"], Float64[Tensor, " pairs"]]]:
        """Yields row, column and distance of pairs: all that may lie within the row's or the column's radius.

        A distance is that of float64, or else it is on the same side of both radii as the exact one.

        Args:
            row_radii: radius around every row.
            column_radii: radius around every column.
        """
        row_limits, column_limits = ((radii / self._around.scale).square() for radii in (row_radii, column_radii))
        for rows, columns, products in self._tiles(symmetric=False):
            bounds = products.add_(self._column_parts[columns].float())
            parts = self._row_parts[rows, None]
            near = bounds <= (row_limits[rows, None] - parts).float()
            near |= bounds <= column_limits[columns].float() - parts.float()
            row, column = near.nonzero(as_tuple=True)
            lowest = bounds[row, column] + parts[row, 0]
            row, column = row + rows.start, column + columns.start
            squares, width = lowest, self._width(row, column)
            limits = torch.stack([row_limits[row], column_limits[column]])
            doubtful = ((lowest <= limits) & (lowest + width >= limits)).any(0)
            if doubtful.sum() > PAIRS_PER_TILE:
                squares = self._from_products(rows, columns)[near]
                doubtful = ((squares - limits).abs() <= width * FLOAT64_TO_FP32).any(0)
            distances = squares.clamp(min=0).sqrt() * self._around.scale
            if doubtful.sum() <= PAIRS_PER_TILE:
                distances[doubtful] = self._from_differences(row[doubtful], column[doubtful])
            yield row, column, distances
