//! Configurations: what each field is, and what it is where nobody says.

/// A configuration whose fields are followed by their defaults. It may have more of them in a
/// later version, so it is made by `with`.
macro_rules! config {
    (
        $(#[$about:meta])*
        pub struct $config:ident {
            $(
                $(#[doc = $what:literal])*
                $(#[cfg($where:meta)])?
                pub $field:ident: $kind:ty = $default:expr,
            )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct $config {
            $($(#[doc = $what])* $(#[cfg($where)])? pub $field: $kind,)*
        }

        impl Default for $config {
            fn default() -> $config {
                $config {
                    $($(#[cfg($where)])? $field: $default,)*
                }
            }
        }

        impl $config {
            /// The default, changed.
            pub fn with(change: impl FnOnce(&mut $config)) -> $config {
                let mut config = $config::default();
                change(&mut config);
                config
            }
        }
    };
}

pub(crate) use config;
