//! A plot and what was printed, as one HTML file that opens anywhere, offline: no script, no font, nothing fetched.

use super::plot::{Plot, escape};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
svg{width:100%;height:auto}svg text{font-size:12px;fill:#444}.grid{stroke:#e4e4e4;fill:none}.moment{stroke:#444;stroke-dasharray:2 3;fill:none}\
ul{list-style:none;padding:0}li span{display:inline-block;width:2rem;margin-right:.6rem;vertical-align:middle}\
pre{overflow-x:auto;background:#f6f6f6;padding:1rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}svg text{fill:#bbb}.grid{stroke:#333}.moment{stroke:#bbb}pre{background:#222}}";

pub fn page(title: &str, plot: &Plot, said: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<h2>{}</h2>\n{}<pre>{}</pre></body></html>\n",
        escape(plot.title),
        plot.svg(),
        escape(said),
        title = escape(title),
    )
}
