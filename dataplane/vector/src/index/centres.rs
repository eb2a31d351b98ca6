//! Where the lists of a large index lie: centres in regions, so that a search compares with the regions, then with the centres
//! of the nearest regions, and with no others. Found on a sample, the same for the same entries. Knows no entries but the
//! sample it is given.

use super::code::{self, Rotation};
use super::directions::Directions;
use super::quantised::{Quantised, add_to};
use super::reach::Reach;
use crate::Kernel;

/// Entries a list has when its centres are found, on average; twice as many before they are found anew. The finer the lists, the
/// fewer entries are near enough to be looked at in vain, and the more there are to be told apart.
const ENTRIES_PER_LIST: usize = 48;
const LEAST_LISTS: usize = 16;
/// Entries of the sample for each centre.
pub const SAMPLE_PER_CENTRE: usize = 8;
/// Vectors that the regions are found from, for each of them.
const SAMPLE_PER_REGION: usize = 64;
/// A region has at most so many times the lists of one on average: what a search compares stays bounded where entries are alike.
const MOST_TIMES_AVERAGE: usize = 4;
/// Regions whose centres a search compares, and those an entry's list is looked for in.
const REGIONS_SEARCHED: usize = 48;
const REGIONS_FOR_ENTRY: usize = 4;
/// Centres whose bytes are compared: those whose codes differ least, so many times what is wanted and at least so many.
const COMPARED_TIMES: usize = 2;
const COMPARED_LEAST: usize = 32;

/// Where a list lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub region: u16,
    pub list: u16,
}

#[derive(Clone, Debug, Default)]
pub struct Centres {
    regions: Directions,
    /// Of each region the centres of its lists.
    lists: Vec<Directions>,
    /// What codes are taken beside: the mean of the sample, rotated.
    origin: Vec<f32>,
    rotation: Rotation,
    /// Of all regions.
    count: usize,
}

/// What comparing with the centres needs while it runs.
#[derive(Debug, Default)]
pub struct CentreScratch {
    rotated: Vec<f32>,
    /// Of the vector that was compared last.
    pub code: Vec<u64>,
    dots: Vec<i32>,
    regions: Vec<(f32, u16)>,
    differing: Vec<u16>,
    reach: Reach,
    /// Centres whose codes are near, and in how many bits they differ.
    chosen: Vec<(u16, Place)>,
    pub nearest: Vec<(f32, Place)>,
}

impl Centres {
    /// How many lists so many entries need.
    pub fn wanted(entries: usize) -> usize {
        (entries / ENTRIES_PER_LIST).max(LEAST_LISTS)
    }

    /// How many lists there are.
    pub fn lists(&self) -> usize {
        self.count
    }

    /// Of each region, how many lists it has.
    pub fn lists_by_region(&self) -> impl Iterator<Item = usize> {
        self.lists.iter().map(Directions::len)
    }

    /// From a sample of vectors, about `count` of them: each region has its share.
    pub fn find(sample: &[Quantised], count: usize, kernel: Kernel) -> Self {
        let dims = sample.first().map_or(0, |vector| vector.values.len());
        let mut origin = vec![0.0; dims];
        sample
            .iter()
            .for_each(|vector| add_to(&mut origin, &vector.values, vector.scale / sample.len() as f32));
        origin.resize(code::rotated_dims(dims), 0.0);
        let rotation = Rotation::new(dims);
        rotation.rotate(&mut origin);
        let region_count = count.isqrt().clamp(1, usize::from(u16::MAX));
        let stride = (sample.len() / (region_count * SAMPLE_PER_REGION)).max(1);
        let of_regions: Vec<&Quantised> = sample.iter().step_by(stride).collect();
        let regions = Directions::find(&of_regions, region_count, kernel);
        let mut parts: Vec<Vec<&Quantised>> = vec![Vec::new(); regions.len()];
        let mut dots = Vec::new();
        for vector in sample {
            if let Some(part) = parts.get_mut(regions.nearest(vector, kernel, &mut dots)) {
                part.push(vector);
            }
        }
        let most = (MOST_TIMES_AVERAGE * count / region_count).min(usize::from(u16::MAX));
        let mut rotated = Vec::new();
        let lists = parts.iter().zip(0..).map(|(part, region): (&Vec<&Quantised>, usize)| {
            let share = (part.len() * count).div_ceil(sample.len().max(1)).clamp(1, most.max(1));
            let mut lists = match part.is_empty() {
                // Nothing of the sample lies there: what comes later has one list.
                true => regions.only(region),
                false => Directions::find(part, share, kernel),
            };
            lists.encode_all(&rotation, &origin, &mut rotated);
            lists
        });
        let lists: Vec<Directions> = lists.collect();
        let count = lists.iter().map(Directions::len).sum();
        Self {
            regions,
            lists,
            origin,
            rotation,
            count,
        }
    }

    /// The code of a vector, into `scratch.code`.
    fn encode(&self, vector: &Quantised, scratch: &mut CentreScratch) {
        let CentreScratch { rotated, code, .. } = scratch;
        code.clear();
        self.rotation
            .code_of(&vector.values, vector.scale, &self.origin, rotated, code);
    }

    /// The list where a vector belongs; `scratch.code` is its code afterwards.
    pub fn nearest(&self, vector: &Quantised, kernel: Kernel, scratch: &mut CentreScratch) -> Place {
        self.nearest_of(vector, REGIONS_FOR_ENTRY, 1, kernel, scratch);
        scratch.nearest.first().map_or(Place::default(), |(_, place)| *place)
    }

    /// The nearest lists, nearest first, into `scratch.nearest`; `scratch.code` is the vector's code afterwards.
    pub fn nearest_few(&self, vector: &Quantised, few: usize, kernel: Kernel, scratch: &mut CentreScratch) {
        self.nearest_of(vector, REGIONS_SEARCHED, few, kernel, scratch);
    }

    fn nearest_of(
        &self,
        vector: &Quantised,
        region_count: usize,
        few: usize,
        kernel: Kernel,
        scratch: &mut CentreScratch,
    ) {
        self.encode(vector, scratch);
        let CentreScratch {
            code,
            dots,
            regions,
            differing,
            reach,
            chosen,
            nearest,
            ..
        } = scratch;
        self.regions.dots(vector, kernel, dots);
        regions.clear();
        let near = dots.iter().zip(&self.regions.scales).zip(0..);
        regions.extend(near.map(|((dot, scale), region)| (*dot as f32 * scale, region)));
        first_few(regions, region_count);
        let lists_of = |region: u16| self.lists.get(usize::from(region));
        reach.begin(code.len(), (few * COMPARED_TIMES).max(COMPARED_LEAST));
        chosen.clear();
        for (_, region) in regions.iter() {
            let Some(lists) = lists_of(*region) else { continue };
            differing.clear();
            kernel.hammings(code, &lists.codes, differing);
            reach.sift(differing, |list, bits| {
                chosen.push((bits, Place { region: *region, list }));
            });
        }
        chosen.retain(|(bits, _)| *bits <= reach.bits());
        let each = chosen
            .iter()
            .filter_map(|(_, place)| Some((lists_of(place.region)?, *place)));
        each.clone()
            .for_each(|(lists, place)| lists.ask_for(usize::from(place.list)));
        nearest.clear();
        nearest.extend(
            each.filter_map(|(lists, place)| Some((lists.nearness(usize::from(place.list), vector, kernel)?, place))),
        );
        first_few(nearest, few);
        nearest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    }

    pub fn bytes(&self) -> usize {
        self.regions.bytes() + self.lists.iter().map(Directions::bytes).sum::<usize>()
    }
}

/// Leaves the nearest, in any order.
fn first_few<T>(near: &mut Vec<(f32, T)>, few: usize) {
    if few < near.len() {
        near.select_nth_unstable_by(few, |a, b| b.0.total_cmp(&a.0));
        near.truncate(few);
    }
}
