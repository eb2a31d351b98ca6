//! Formats of media: Bedrock names them by a word of its own, everybody else by a media type.

use crate::canonical::request::MediaKind;

/// Word and media type. A word's first row gives its media type, a media type's first row its word.
type Rows = &'static [(&'static str, &'static str)];

const IMAGES: Rows = &[
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("jpeg", "image/jpg"),
];

const DOCUMENTS: Rows = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("md", "text/x-markdown"),
    ("csv", "application/csv"),
    ("html", "application/xhtml+xml"),
    ("txt", "application/json"),
    ("txt", "application/xml"),
    ("txt", "application/yaml"),
    ("txt", "application/javascript"),
];

const VIDEOS: Rows = &[
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("flv", "video/x-flv"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("wmv", "video/x-ms-wmv"),
    ("three_gp", "video/3gpp"),
    ("mov", "video/mov"),
    ("wmv", "video/wmv"),
    ("mpeg", "video/mpg"),
];

const SOUNDS: Rows = &[
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("opus", "audio/opus"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("mp4", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("mka", "audio/x-matroska"),
    ("mkv", "audio/x-mkv"),
    ("x-aac", "audio/x-aac"),
    ("m4a", "audio/m4a"),
    ("mpeg", "audio/mpeg"),
    ("mpga", "audio/mpeg"),
    ("pcm", "audio/pcm"),
    ("webm", "audio/webm"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/x-wav"),
    ("wav", "audio/wave"),
    ("m4a", "audio/x-m4a"),
    ("flac", "audio/x-flac"),
    ("pcm", "audio/l16"),
];

/// Beginnings of base64 by which bytes are known whose sender named no type.
const BEGINNINGS: &[(MediaKind, &str, &str)] = &[
    (MediaKind::Image, "png", "iVBORw0KGgo"),
    (MediaKind::Image, "jpeg", "/9j/"),
    (MediaKind::Image, "gif", "R0lGOD"),
    (MediaKind::Image, "webp", "UklGR"),
    (MediaKind::Document, "pdf", "JVBERi"),
];

fn rows(kind: MediaKind) -> Rows {
    match kind {
        MediaKind::Image => IMAGES,
        MediaKind::Document => DOCUMENTS,
        MediaKind::Audio => SOUNDS,
        MediaKind::Video => VIDEOS,
    }
}

/// The media type of a format's word.
pub(super) fn media_type(kind: MediaKind, word: &str) -> Option<&'static str> {
    rows(kind).iter().find(|(known, _)| *known == word).map(|row| row.1)
}

/// The words there are, for who used another.
pub(super) fn words(kind: MediaKind) -> String {
    let mut words: Vec<&str> = Vec::new();
    for (word, _) in rows(kind) {
        if !words.contains(word) {
            words.push(word);
        }
    }
    words.join(", ")
}

/// The word for a media type; parameters (`; charset=utf-8`) and case say nothing here.
pub(super) fn word(kind: MediaKind, media_type: &str) -> Option<&'static str> {
    let bare = media_type.split(';').next().unwrap_or_default().trim();
    let known = rows(kind).iter().find(|(_, known)| known.eq_ignore_ascii_case(bare));
    let is_text = kind == MediaKind::Document && bare.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"));
    known.map(|row| row.0).or(is_text.then_some("txt"))
}

/// The word that a file's name ends with.
pub(super) fn word_of_name(kind: MediaKind, name: &str) -> Option<&'static str> {
    let ending = name.rsplit_once('.')?.1;
    let same = |word: &str| word.eq_ignore_ascii_case(ending) || (word == "jpeg" && ending.eq_ignore_ascii_case("jpg"));
    rows(kind).iter().find(|(word, _)| same(word)).map(|row| row.0)
}

/// The word for bytes by the first of them.
pub(super) fn word_of_bytes(kind: MediaKind, base64: &str) -> Option<&'static str> {
    let begins = |row: &&(MediaKind, &str, &str)| row.0 == kind && base64.starts_with(row.2);
    BEGINNINGS.iter().find(begins).map(|row| row.1)
}

/// Is a document of this format plain text?
pub(super) fn is_text(word: &str) -> bool {
    matches!(word, "csv" | "html" | "txt" | "md")
}
