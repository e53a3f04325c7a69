//! Attributes that are a run of equal-sized values.

/// Makes a borrowed list over the octets of such an attribute, and its iterator.
macro_rules! value_list {
    ($(#[$doc:meta])* $list:ident of $item:ident, $size:literal, $decode:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $list<'a>(pub(crate) &'a [u8]);

        impl<'a> $list<'a> {
            /// Over the value of such an attribute. Octets behind the last whole value are not read.
            #[inline]
            #[must_use]
            pub const fn new(value: &'a [u8]) -> Self {
                Self(value)
            }

            /// The number of values.
            #[must_use]
            pub const fn len(&self) -> usize {
                self.0.len() / $size
            }

            /// Whether there is none.
            #[must_use]
            pub const fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The values in order.
            #[inline]
            pub fn iter(&self) -> impl ExactSizeIterator<Item = $item> + Clone + use<'a> {
                self.0.as_chunks::<$size>().0.iter().map($decode)
            }

            /// Whether the value is in the list.
            #[must_use]
            pub fn contains(&self, value: $item) -> bool {
                self.iter().any(|v| v == value)
            }

            /// The octets.
            #[must_use]
            pub const fn as_bytes(&self) -> &'a [u8] {
                self.0
            }
        }
    };
}

pub(crate) use value_list;
