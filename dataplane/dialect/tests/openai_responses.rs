//! OpenAI Responses: golden requests, answers, streams and faults, and what no honest peer sends.

#[path = "openai_responses/answers.rs"]
mod answers;
#[path = "openai_responses/golden.rs"]
mod golden;
#[path = "openai_responses/hostile.rs"]
mod hostile;
#[path = "openai_responses/requests.rs"]
mod requests;
#[path = "openai_responses/streams.rs"]
mod streams;
