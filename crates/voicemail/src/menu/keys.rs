//! What each key means, in each layout.
//!
//! ```text
//!            ours                                    Asterisk's
//! main       1 new  2 heard  3 greetings  4 PIN      1 new  2 heard  0 greetings
//! message    1 again     2 save    3 delete          4 previous  5 again   6 next
//!            4 previous  5 pause   6 next            7 delete    8 forward 9 save
//!            7 back      8 faster  9 ahead           3 more      0 greetings
//!            0 envelope  * more    # main menu       * back, help  # ahead, end
//! more       1 reply  2 call back  3 forward         1 reply  2 call back  3 envelope
//! greetings  1 usual  2 busy  3 temporary  4 name    1 usual  2 busy  3 name  4 temporary  5 PIN
//! forward    1 words before it  2, # forthwith  3 to one more  * to nobody
//! ```

use aftertone_model::MenuLayout;

/// Where the listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the main menu.
    Main,
    /// A message is being played.
    Playing,
    /// It was played.
    Message,
    /// What else can be done with it.
    More,
    /// Greetings and name.
    Options,
    /// A recording waits to be kept.
    Review,
    /// A message is to be forwarded, with words before it or without.
    Introduction,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Main, Self::Playing, Self::Message, Self::More, Self::Options, Self::Review, Self::Introduction];
}

/// What the listener wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are what they say")]
pub enum Command {
    New,
    Heard,
    Options,
    ChangePin,
    Again,
    Save,
    /// Or restore, what is deleted.
    Delete,
    Previous,
    Next,
    /// Some seconds back in the message.
    Back,
    /// Some seconds ahead.
    Ahead,
    /// Or go on, when it is paused.
    Pause,
    /// Or at the usual speed, after the fastest.
    Faster,
    Envelope,
    More,
    Reply,
    CallBack,
    Forward,
    Greeting,
    BusyGreeting,
    /// Or end it, when there is one.
    TemporaryGreeting,
    Name,
    /// To the recording that was made.
    Listen,
    Keep,
    RecordAgain,
    Discard,
    /// Words before a forwarded message.
    Introduce,
    Forthwith,
    /// To one more extension.
    AddRecipient,
    /// What the keys are.
    Help,
    /// One menu up.
    Up,
    Leave,
}

/// What a key means there; `None` if nothing.
#[must_use]
pub fn command(layout: MenuLayout, place: Place, key: char) -> Option<Command> {
    match place {
        Place::Review => review(key),
        Place::Introduction => introduction(key),
        Place::Main | Place::Playing | Place::Message | Place::More | Place::Options => match layout {
            MenuLayout::Aftertone => ours(place, key),
            MenuLayout::Asterisk => asterisk(place, key),
        },
    }
}

fn ours(place: Place, key: char) -> Option<Command> {
    match place {
        Place::Main => main(key),
        Place::Playing | Place::Message => message(key),
        Place::More => more(key, Command::Forward),
        Place::Options => match key {
            '3' => Some(Command::TemporaryGreeting),
            '4' => Some(Command::Name),
            _ => options(key),
        },
        Place::Review | Place::Introduction => None,
    }
}

fn main(key: char) -> Option<Command> {
    Some(match key {
        '1' => Command::New,
        '2' => Command::Heard,
        '3' => Command::Options,
        '4' => Command::ChangePin,
        '*' => Command::Help,
        '#' => Command::Leave,
        _ => return None,
    })
}

fn message(key: char) -> Option<Command> {
    Some(match key {
        '1' => Command::Again,
        '2' => Command::Save,
        '3' => Command::Delete,
        '4' => Command::Previous,
        '5' => Command::Pause,
        '6' => Command::Next,
        '7' => Command::Back,
        '8' => Command::Faster,
        '9' => Command::Ahead,
        '0' => Command::Envelope,
        '*' => Command::More,
        '#' => Command::Up,
        _ => return None,
    })
}

fn more(key: char, third: Command) -> Option<Command> {
    Some(match key {
        '1' => Command::Reply,
        '2' => Command::CallBack,
        '3' => third,
        '*' | '#' => Command::Up,
        _ => return None,
    })
}

fn options(key: char) -> Option<Command> {
    Some(match key {
        '1' => Command::Greeting,
        '2' => Command::BusyGreeting,
        '*' | '#' => Command::Up,
        _ => return None,
    })
}

fn asterisk(place: Place, key: char) -> Option<Command> {
    Some(match (place, key) {
        (Place::More, _) => return more(key, Command::Envelope),
        (Place::Options, '3') => Command::Name,
        (Place::Options, '4') => Command::TemporaryGreeting,
        (Place::Options, '5') => Command::ChangePin,
        (Place::Options, _) => return options(key),
        (Place::Playing, '*') => Command::Back,
        (Place::Playing, '#') => Command::Ahead,
        (Place::Playing | Place::Message, '3') => Command::More,
        (Place::Playing | Place::Message, '4') => Command::Previous,
        (Place::Playing | Place::Message, '5') => Command::Again,
        (Place::Playing | Place::Message, '6') => Command::Next,
        (Place::Playing | Place::Message, '7') => Command::Delete,
        (Place::Playing | Place::Message, '8') => Command::Forward,
        (Place::Playing | Place::Message, '9') => Command::Save,
        (Place::Main | Place::Playing | Place::Message, '0') => Command::Options,
        (Place::Main | Place::Playing | Place::Message, '1') => Command::New,
        (Place::Main | Place::Playing | Place::Message, '2') => Command::Heard,
        (Place::Main | Place::Message, '*') => Command::Help,
        (Place::Main | Place::Message, '#') => Command::Leave,
        (Place::Main | Place::Playing | Place::Message | Place::Review | Place::Introduction, _) => return None,
    })
}

fn review(key: char) -> Option<Command> {
    Some(match key {
        '1' => Command::Listen,
        '2' | '#' => Command::Keep,
        '3' => Command::RecordAgain,
        '*' => Command::Discard,
        _ => return None,
    })
}

fn introduction(key: char) -> Option<Command> {
    Some(match key {
        '1' => Command::Introduce,
        '2' | '#' => Command::Forthwith,
        '3' => Command::AddRecipient,
        '*' => Command::Discard,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const KEYS: &str = "0123456789*#ABCD";

    fn check(layout: MenuLayout, place: Place, expect: &[(char, Command)]) {
        let found: Vec<_> = KEYS.chars().filter_map(|key| Some((key, command(layout, place, key)?))).collect();
        assert_eq!(found, expect, "{layout:?} {place:?}");
    }

    #[test]
    fn our_layout() {
        use Command as C;
        let layout = MenuLayout::Aftertone;
        check(
            layout,
            Place::Main,
            &[('1', C::New), ('2', C::Heard), ('3', C::Options), ('4', C::ChangePin), ('*', C::Help), ('#', C::Leave)],
        );
        for place in [Place::Playing, Place::Message] {
            check(
                layout,
                place,
                &[
                    ('0', C::Envelope),
                    ('1', C::Again),
                    ('2', C::Save),
                    ('3', C::Delete),
                    ('4', C::Previous),
                    ('5', C::Pause),
                    ('6', C::Next),
                    ('7', C::Back),
                    ('8', C::Faster),
                    ('9', C::Ahead),
                    ('*', C::More),
                    ('#', C::Up),
                ],
            );
        }
        check(layout, Place::More, &[('1', C::Reply), ('2', C::CallBack), ('3', C::Forward), ('*', C::Up), ('#', C::Up)]);
        check(
            layout,
            Place::Options,
            &[
                ('1', C::Greeting),
                ('2', C::BusyGreeting),
                ('3', C::TemporaryGreeting),
                ('4', C::Name),
                ('*', C::Up),
                ('#', C::Up),
            ],
        );
    }

    #[test]
    fn the_layout_that_people_know_from_asterisk() {
        use Command as C;
        let layout = MenuLayout::Asterisk;
        check(layout, Place::Main, &[('0', C::Options), ('1', C::New), ('2', C::Heard), ('*', C::Help), ('#', C::Leave)]);
        let message = |star, hash| {
            [
                ('0', C::Options),
                ('1', C::New),
                ('2', C::Heard),
                ('3', C::More),
                ('4', C::Previous),
                ('5', C::Again),
                ('6', C::Next),
                ('7', C::Delete),
                ('8', C::Forward),
                ('9', C::Save),
                ('*', star),
                ('#', hash),
            ]
        };
        check(layout, Place::Playing, &message(C::Back, C::Ahead));
        check(layout, Place::Message, &message(C::Help, C::Leave));
        check(layout, Place::More, &[('1', C::Reply), ('2', C::CallBack), ('3', C::Envelope), ('*', C::Up), ('#', C::Up)]);
        check(
            layout,
            Place::Options,
            &[
                ('1', C::Greeting),
                ('2', C::BusyGreeting),
                ('3', C::Name),
                ('4', C::TemporaryGreeting),
                ('5', C::ChangePin),
                ('*', C::Up),
                ('#', C::Up),
            ],
        );
    }

    #[test]
    fn whatever_can_be_done_with_a_message_has_a_key_in_both_layouts() {
        for layout in [MenuLayout::Aftertone, MenuLayout::Asterisk] {
            let all = Place::ALL.into_iter().flat_map(|place| KEYS.chars().filter_map(move |key| command(layout, place, key)));
            let all: BTreeSet<_> = all.collect();
            use Command as C;
            for needed in [
                C::New,
                C::Heard,
                C::Options,
                C::ChangePin,
                C::Again,
                C::Save,
                C::Delete,
                C::Previous,
                C::Next,
                C::Back,
                C::Ahead,
                C::Envelope,
                C::Reply,
                C::CallBack,
                C::Forward,
                C::AddRecipient,
                C::Greeting,
                C::BusyGreeting,
                C::TemporaryGreeting,
                C::Name,
                C::Leave,
            ] {
                assert!(all.contains(&needed), "{layout:?} {needed:?}");
            }
        }
    }
}
