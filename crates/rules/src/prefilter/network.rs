//! The formulas of many patterns over one kind of text, evaluated together while literals are found.
//!
//! Each formula is a tree of counters; equal subtrees are one. A literal's place counts in the nodes that hold it, a full counter counts
//! in its parents, and a full root names its patterns. Each kind of text has its own index: whole messages are long and asked for little.

use std::collections::HashMap;

use super::formula::{Formula, weight};
use super::literals::{LiteralId, Literals, fold_into};

/// What is known of each kind of text.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    groups: Vec<GroupBuilder>,
    nodes: Vec<Node>,
    node_ids: HashMap<(usize, Formula), u32>,
}

#[derive(Debug, Default)]
struct GroupBuilder {
    literals: Vec<Vec<u8>>,
    literal_ids: HashMap<Vec<u8>, LiteralId>,
    /// For each literal, the nodes in which it counts.
    uses: Vec<Vec<u32>>,
}

#[derive(Debug, Default)]
struct Node {
    needed: u32,
    parents: Vec<u32>,
    /// Patterns whose formula this is.
    patterns: Vec<u32>,
}

/// Formulas, ready to be evaluated.
#[derive(Debug, Default)]
pub(crate) struct Network {
    groups: Vec<Group>,
    needed: Vec<u32>,
    link_starts: Vec<u32>,
    /// For each node, its parents; patterns are marked by [`PATTERN`].
    links: Vec<u32>,
}

/// The literals of one kind of text.
#[derive(Debug, Default)]
struct Group {
    index: Literals,
    /// `uses` of a literal: `use_starts[id]..use_starts[id + 1]`.
    use_starts: Vec<u32>,
    uses: Vec<u32>,
}

/// Marks a link as the number of a pattern.
const PATTERN: u32 = 1 << 31;

/// Counters of one text; kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// For each node, the number of the text and the count in it.
    counts: Vec<(u32, u32)>,
    text: u32,
    folded: Vec<u8>,
    open: Vec<u32>,
}

impl Builder {
    /// Adds a pattern over the texts of `group`. The answer is false when its formula is no condition: then it must be tried on each text.
    pub(crate) fn add(&mut self, group: usize, pattern: u32, formula: &Formula) -> bool {
        if *formula == Formula::True {
            return false;
        }
        let node = self.node(group, formula);
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.patterns.push(pattern);
        }
        true
    }

    fn node(&mut self, group: usize, formula: &Formula) -> u32 {
        if let Some(id) = self.node_ids.get(&(group, formula.clone())) {
            return *id;
        }
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let needed = match formula {
            Formula::True => 0,
            Formula::Times(times, _) => *times,
            Formula::All(parts) => u32::try_from(parts.len()).unwrap_or(u32::MAX),
            Formula::Any(_) => 1,
        };
        self.nodes.push(Node { needed, ..Node::default() });
        self.node_ids.insert((group, formula.clone()), id);
        match formula {
            Formula::True => {}
            Formula::Times(_, literals) => literals.iter().for_each(|literal| self.use_literal(literal, group, id)),
            Formula::All(parts) | Formula::Any(parts) => {
                for part in parts {
                    let child = self.node(group, part);
                    if let Some(child) = self.nodes.get_mut(child as usize) {
                        child.parents.push(id);
                    }
                }
            }
        }
        id
    }

    fn use_literal(&mut self, literal: &[u8], group: usize, node: u32) {
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, GroupBuilder::default);
        }
        let Some(GroupBuilder { literals, literal_ids, uses }) = self.groups.get_mut(group) else {
            return;
        };
        let id = *literal_ids.entry(literal.to_vec()).or_insert_with(|| {
            literals.push(literal.to_vec());
            uses.push(Vec::new());
            u32::try_from(literals.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(uses) = uses.get_mut(id as usize) {
            uses.push(node);
        }
    }

    /// The network of all that was added.
    pub(crate) fn build(self) -> Network {
        let groups = self.groups.into_iter().map(|group| {
            let (use_starts, uses) = flatten(group.uses.into_iter());
            let index = if group.literals.is_empty() { Literals::default() } else { Literals::new(&group.literals) };
            Group { index, use_starts, uses }
        });
        let groups = groups.collect();
        let needed = self.nodes.iter().map(|node| node.needed).collect();
        let links = self.nodes.into_iter().map(|node| {
            let mut links = node.parents;
            links.extend(node.patterns.into_iter().map(|pattern| pattern | PATTERN));
            links
        });
        let (link_starts, links) = flatten(links);
        Network { groups, needed, link_starts, links }
    }
}

fn flatten<T>(lists: impl Iterator<Item = Vec<T>>) -> (Vec<u32>, Vec<T>) {
    let mut starts = vec![0];
    let mut all = Vec::new();
    for list in lists {
        all.extend(list);
        starts.push(u32::try_from(all.len()).unwrap_or(u32::MAX));
    }
    (starts, all)
}

fn list<'l, T>(starts: &[u32], all: &'l [T], id: u32) -> &'l [T] {
    let id = id as usize;
    match (starts.get(id), starts.get(id + 1)) {
        (Some(start), Some(end)) => all.get(*start as usize..*end as usize).unwrap_or_default(),
        _ => &[],
    }
}

impl Network {
    /// Adds to `candidates` the patterns of `group` whose formula holds in `text`, each once.
    pub(crate) fn candidates(&self, group: usize, text: &[u8], counters: &mut Counters, candidates: &mut Vec<u32>) {
        counters.counts.resize(self.needed.len(), (0, 0));
        counters.text = counters.text.wrapping_add(1);
        if counters.text == 0 {
            counters.counts.fill((0, 0));
            counters.text = 1;
        }
        let Some(known) = self.groups.get(group) else {
            return;
        };
        let mut folded = std::mem::take(&mut counters.folded);
        fold_into(text, &mut folded);
        known.index.scan(&folded, |literal| {
            for node in list(&known.use_starts, &known.uses, literal) {
                self.count(*node, counters, candidates);
            }
        });
        counters.folded = folded;
    }

    fn count(&self, node: u32, counters: &mut Counters, candidates: &mut Vec<u32>) {
        counters.open.push(node);
        while let Some(node) = counters.open.pop() {
            let (Some(count), Some(needed)) = (counters.counts.get_mut(node as usize), self.needed.get(node as usize))
            else {
                continue;
            };
            if count.0 != counters.text {
                *count = (counters.text, 0);
            }
            count.1 = count.1.saturating_add(1);
            if count.1 != *needed {
                continue;
            }
            for link in list(&self.link_starts, &self.links, node) {
                if link & PATTERN == 0 {
                    counters.open.push(*link);
                } else {
                    candidates.push(link & !PATTERN);
                }
            }
        }
    }
}

/// Whether a formula is worth its cost: one that nearly each text fulfils is not.
pub(crate) fn is_selective(formula: &Formula) -> bool {
    weight(formula) < 1.0
}
