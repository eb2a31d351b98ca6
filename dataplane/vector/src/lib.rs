//! Embedding and similarity search: pure compute. The room of the semantic cache and of routing by meaning, which
//! configuration refuses with `not supported yet` until they are here.
