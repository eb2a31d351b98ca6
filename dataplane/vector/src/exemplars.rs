//! Groups of examples, and how near a text is to each: the nearest of a group's examples and the middle of all of them,
//! half and half. Immutable and shared. Knows no targets: a group is a number of its caller's.

use crate::{Embedder, Kernel, Scratch, embed::normalise, index::quantised::Quantised};

/// Groups of examples, compared by bytes.
#[derive(Debug)]
pub struct Exemplars {
    dims: usize,
    kernel: Kernel,
    groups: Vec<Group>,
    /// A vector for each example, group by group, and behind them the middle of each group.
    values: Vec<i8>,
    scales: Vec<f32>,
}

#[derive(Debug)]
struct Group {
    first: usize,
    examples: usize,
}

/// How near a text is to a group. Similarities are cosines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nearness {
    /// The mean of the other two.
    pub score: f32,
    /// To the nearest example, and which of the group's that is.
    pub example: f32,
    pub nearest: usize,
    /// To the middle of all its examples.
    pub centroid: f32,
}

/// What a comparison needs while it runs; kept by the caller, so that those after the first do not allocate.
#[derive(Debug, Default)]
pub struct ExemplarScratch {
    query: Quantised,
    dots: Vec<i32>,
}

impl Exemplars {
    /// Of the groups' texts, in order. A group without examples is near to nothing.
    pub fn new<'a, Texts>(embedder: &Embedder, groups: impl IntoIterator<Item = Texts>) -> Self
    where
        Texts: IntoIterator<Item = &'a str>,
    {
        let dims = embedder.dims();
        let mut made = Self {
            dims,
            kernel: embedder.kernel(),
            groups: Vec::new(),
            values: Vec::new(),
            scales: Vec::new(),
        };
        let (mut scratch, mut vector) = (Scratch::default(), vec![0.0; dims]);
        let mut middles = Vec::new();
        for texts in groups {
            let (first, mut middle) = (made.scales.len(), vec![0.0; dims]);
            for text in texts {
                embedder.embed(text, &mut scratch, &mut vector);
                middle.iter_mut().zip(&vector).for_each(|(sum, value)| *sum += value);
                made.push(&vector);
            }
            normalise(&mut middle);
            made.groups.push(Group {
                first,
                examples: made.scales.len() - first,
            });
            middles.push(middle);
        }
        middles.iter().for_each(|middle| made.push(middle));
        made
    }

    fn push(&mut self, vector: &[f32]) {
        let Quantised { values, scale } = Quantised::of(vector);
        self.values.extend(values);
        self.scales.push(scale);
    }

    /// Of examples, all groups together.
    pub fn len(&self) -> usize {
        self.scales.len() - self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How near `vector` is to each group, in order. A vector of another model's length is near to nothing.
    pub fn compare(&self, vector: &[f32], scratch: &mut ExemplarScratch, near: &mut Vec<Nearness>) {
        near.clear();
        near.resize(self.groups.len(), Nearness::default());
        let ExemplarScratch { query, dots } = scratch;
        query.set(vector);
        if vector.len() != self.dims || query.scale == 0.0 {
            return;
        }
        dots.clear();
        dots.resize(self.scales.len(), 0);
        self.kernel.dots(&query.values, &self.values, dots);
        let similarity = |at: usize| match (dots.get(at), self.scales.get(at)) {
            (Some(dot), Some(scale)) => query.similarity(*dot, *scale),
            _ => 0.0,
        };
        for (index, (group, near)) in self.groups.iter().zip(near).enumerate() {
            if group.examples == 0 {
                continue;
            }
            let all = (0..group.examples).map(|nearest| (nearest, similarity(group.first + nearest)));
            let (nearest, example) = all.fold((0, f32::MIN), |best, one| if one.1 > best.1 { one } else { best });
            let centroid = similarity(self.len() + index);
            *near = Nearness {
                score: (example + centroid) / 2.0,
                example,
                nearest,
                centroid,
            };
        }
    }
}
