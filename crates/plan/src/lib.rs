//! Pure deciders: given rows and a moment they answer what should be, and change nothing.
//!
//! | module | decides |
//! |---|---|
//! | [`image`] | what pushing a manifest or deleting an image changes |
//! | [`reservation`] | what a task takes of its node, and what is left there |
//! | [`placement`] | which nodes new tasks go to, or why none does |
//! | [`task_state`] | what a task becomes by an agent's report or an order to stop |
//!
//! This room does not know transactions, wire shapes, clocks or chance.

pub mod image;
pub mod placement;
pub mod reservation;
pub mod task_state;

#[cfg(test)]
mod testing;
