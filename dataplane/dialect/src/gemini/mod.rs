//! Gemini `generateContent` and `streamGenerateContent`.
