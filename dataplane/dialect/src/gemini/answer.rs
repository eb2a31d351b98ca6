//! A provider's buffered answer.

use super::responses::{Form, Responses};
use crate::{canonical::bad::BadAnswer, speak::Sink};

pub(super) fn read(body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
    let mut responses = Responses::new(Form::Whole);
    responses.take(body, sink)?;
    responses.finish(sink)
}
