//! Bedrock Converse and ConverseStream.
