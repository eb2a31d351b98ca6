//! Prices as people and programs read them.

use serde_json::{Map, Value, json};
use tollgate_config::{
    catalogue::{Abilities, Mode, ModelFacts},
    money,
    prices::{Class, Prices, Reprices, ServiceTier},
};

use crate::cli::table;

/// The order in which people ask.
const CLASSES: [Class; 10] = [
    Class::Input,
    Class::CacheRead,
    Class::CacheWrite5m,
    Class::CacheWrite1h,
    Class::Output,
    Class::Reasoning,
    Class::InputAudio,
    Class::OutputAudio,
    Class::InputImage,
    Class::Request,
];
const UNKNOWN: &str = "–";

fn dollars(prices: &Prices, above: u64, tier: ServiceTier, class: Class) -> String {
    money::dollars(prices.picos(above, tier, class), class.unit_log10())
}

/// A line of a section's list.
pub fn row(name: &str, facts: &ModelFacts) -> Vec<String> {
    let price = |class| match facts.prices() {
        None => UNKNOWN.to_owned(),
        Some(prices) if prices.by_request() && class == Class::Input => {
            format!(
                "{} a request",
                dollars(prices, 0, ServiceTier::Standard, Class::Request)
            )
        }
        Some(prices) => dollars(prices, 0, ServiceTier::Standard, class),
    };
    let count = |tokens: Option<u64>| tokens.map_or_else(|| UNKNOWN.to_owned(), |tokens| tokens.to_string());
    vec![
        name.to_owned(),
        price(Class::Input),
        price(Class::CacheRead),
        price(Class::Output),
        count(facts.context_window),
        count(facts.max_output_tokens),
        features(&facts.abilities).join(" "),
    ]
}

/// All that is known of a model.
pub fn model(section: &str, name: &str, facts: &ModelFacts) -> Value {
    json!({
        "section": section,
        "model": name,
        "mode": mode(facts.mode),
        "context_window": facts.context_window,
        "max_output_tokens": facts.max_output_tokens,
        "features": features(&facts.abilities),
        "source": facts.source,
        "prices": facts.prices().map(prices),
        "version": facts.prices().map(|prices| prices.version().to_string()),
    })
}

/// The same for people.
pub fn sheet(section: &str, name: &str, facts: &ModelFacts) -> String {
    let count = |tokens: Option<u64>| tokens.map_or_else(|| UNKNOWN.to_owned(), |tokens| tokens.to_string());
    let prices = match facts.prices() {
        None => "no price is known".to_owned(),
        Some(prices) => format!("prices {}:\n{}", prices.version(), grid(prices)),
    };
    format!(
        "{section}/{name}: {}, {} tokens of context, at most {} out\nfeatures: {}\nsource: {}\n{prices}",
        mode(facts.mode),
        count(facts.context_window),
        count(facts.max_output_tokens),
        features(&facts.abilities).join(" "),
        facts.source.unwrap_or(UNKNOWN),
    )
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Chat => "chat",
        Mode::Responses => "responses",
        Mode::Completion => "completion",
        Mode::Embedding => "embedding",
        Mode::Rerank => "rerank",
    }
}

fn features(abilities: &Abilities) -> Vec<&'static str> {
    let named = [
        (abilities.tools, "tools"),
        (abilities.parallel_tools, "parallel_tools"),
        (abilities.images, "vision"),
        (abilities.documents, "pdf"),
        (abilities.audio, "audio"),
        (abilities.audio_output, "audio_output"),
        (abilities.reasoning, "thinking"),
        (abilities.schema, "json_schema"),
        (abilities.prompt_cache, "prompt_caching"),
        (abilities.prefill, "prefill"),
    ];
    let has = named.into_iter().filter(|(has, _)| *has);
    has.map(|(_, name)| name).collect()
}

/// USD for a million tokens, and for one request, by tier; with `above` for longer prompts.
pub fn prices(prices: &Prices) -> Value {
    let band = |above: u64| -> Map<String, Value> {
        let tier = |tier: ServiceTier| {
            let classes = CLASSES.map(|class| (class.name().to_owned(), dollars(prices, above, tier, class).into()));
            (tier.name().to_owned(), Value::Object(classes.into_iter().collect()))
        };
        prices.tiers(above).into_iter().map(tier).collect()
    };
    let mut all = band(0);
    let longer = prices.bands().filter(|above| *above > 0).map(|above| {
        let mut band = band(above);
        band.insert("tokens".to_owned(), above.into());
        Value::Object(band)
    });
    let longer: Vec<Value> = longer.collect();
    if !longer.is_empty() {
        all.insert("above".to_owned(), longer.into());
        all.insert("reprices".to_owned(), reprices(prices).into());
    }
    Value::Object(all)
}

fn reprices(prices: &Prices) -> &'static str {
    match prices.reprices() {
        Reprices::Request => "request",
        Reprices::Beyond => "beyond",
    }
}

/// Classes down, tiers and lengths across; classes of which every price is zero are left out.
pub fn grid(prices: &Prices) -> String {
    let columns: Vec<(u64, ServiceTier)> = prices
        .bands()
        .flat_map(|above| prices.tiers(above).into_iter().map(move |tier| (above, tier)))
        .collect();
    let head = columns.iter().map(|(above, tier)| match above {
        0 => tier.name().to_owned(),
        above => format!("{} >{above}", tier.name()),
    });
    let mut rows = vec![std::iter::once("USD".to_owned()).chain(head).collect::<Vec<_>>()];
    for class in CLASSES {
        let picos = |(above, tier): &(u64, ServiceTier)| prices.picos(*above, *tier, class);
        if columns.iter().any(|column| picos(column) > 0) {
            let cells = columns
                .iter()
                .map(|(above, tier)| dollars(prices, *above, *tier, class));
            rows.push(std::iter::once(class.name().to_owned()).chain(cells).collect());
        }
    }
    let unit = match prices.by_request() {
        true => "for a million tokens, and for one request",
        false => "for a million tokens",
    };
    let longer = match prices.bands().nth(1) {
        Some(_) if prices.reprices() == Reprices::Request => "; a longer prompt reprices the whole request",
        Some(_) => "; only the tokens beyond are repriced",
        None => "",
    };
    format!("{}\n{unit}{longer}", table(&rows))
}

/// One price that is not the same in two tables.
pub struct Change {
    /// `output`, `batch input`, `input above 272000`; empty for the whole model.
    pub what: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

impl Change {
    pub fn line(&self) -> String {
        let Change { what, old, new } = self;
        match (old, new) {
            (Some(old), Some(new)) => format!("{what}: {old} → {new}"),
            (None, Some(new)) => format!("added: {new}"),
            (Some(old), None) => format!("not in the file: {old}"),
            (None, None) => String::new(),
        }
    }
}

pub fn changes(ours: Option<&Prices>, theirs: Option<&Prices>) -> Vec<Change> {
    let usual = |prices: &Prices| {
        let price = |class| dollars(prices, 0, ServiceTier::Standard, class);
        match prices.by_request() {
            true => format!("{} a request", price(Class::Request)),
            false => format!("input {}, output {}", price(Class::Input), price(Class::Output)),
        }
    };
    let (Some(old), Some(new)) = (ours, theirs) else {
        let (old, new) = (ours.map(usual), theirs.map(usual));
        let what = String::new();
        return match (&old, &new) {
            (None, None) => Vec::new(),
            _ => vec![Change { what, old, new }],
        };
    };
    let mut bands: Vec<u64> = old.bands().chain(new.bands()).collect();
    bands.sort_unstable();
    bands.dedup();
    let mut changes = Vec::new();
    for above in bands {
        let has = |tier: &ServiceTier| old.tiers(above).contains(tier) || new.tiers(above).contains(tier);
        for tier in ServiceTier::ALL.into_iter().filter(has) {
            for class in CLASSES {
                let pair = |class| (old.picos(above, tier, class), new.picos(above, tier, class));
                // What only goes with another class was told with that.
                let goes_along = class.part_of().is_some_and(|whole| pair(whole) == pair(class));
                let (was, is) = pair(class);
                if was != is && !goes_along {
                    changes.push(Change {
                        what: place(above, tier, class),
                        old: Some(dollars(old, above, tier, class)),
                        new: Some(dollars(new, above, tier, class)),
                    });
                }
            }
        }
    }
    changes
}

fn place(above: u64, tier: ServiceTier, class: Class) -> String {
    let tier = match tier {
        ServiceTier::Standard => String::new(),
        tier => format!("{} ", tier.name()),
    };
    match above {
        0 => format!("{tier}{}", class.name()),
        above => format!("{tier}{} above {above}", class.name()),
    }
}
