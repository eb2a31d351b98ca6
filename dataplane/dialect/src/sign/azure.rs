//! Microsoft Entra (Azure AD), client credentials: the secret of an application becomes access tokens. Source: "Microsoft
//! identity platform and the OAuth 2.0 client credentials flow".

use super::{
    form,
    token::{TokenAsk, TokenForm},
};

/// An application of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Application<'a> {
    /// Without a slash at its end.
    pub authority: &'a str,
    pub tenant: &'a str,
    pub client_id: &'a str,
    pub scope: &'a str,
}

impl Application<'_> {
    pub fn ask(&self, secret: &str) -> TokenAsk {
        let Application {
            authority,
            tenant,
            client_id,
            scope,
        } = self;
        TokenAsk {
            url: format!("{authority}/{tenant}/oauth2/v2.0/token"),
            body: TokenForm(form::body(&[
                ("grant_type", "client_credentials"),
                ("client_id", client_id),
                ("client_secret", secret),
                ("scope", scope),
            ])),
        }
    }
}
