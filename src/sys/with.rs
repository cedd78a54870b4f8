//! How a configuration is made in one expression, by whoever can't name all that it has.

/// Gives a configuration its `with`.
macro_rules! with {
    ($config:ident) => {
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

pub(crate) use with;
