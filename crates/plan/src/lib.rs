//! Pure deciders: given rows and a moment they answer what should be, and change nothing.
//!
//! | module | decides |
//! |---|---|
//! | [`garbage`] | what of a registry nobody needs |
//! | [`image`] | what pushing a manifest or deleting an image changes |
//! | [`reservation`] | what a task takes of its node, and what is left there |
//! | [`placement`] | which nodes new tasks go to, or why none does |
//! | [`query`] | which nodes an expression of the cluster query language means |
//! | [`task_state`] | what a task becomes by an agent's report or an order to stop |
//! | [`upload`] | the rows that a layer's upload begins and ends with |
//!
//! This room does not know transactions, wire shapes, clocks or chance.

pub mod garbage;
pub mod image;
pub mod placement;
pub mod query;
pub mod reservation;
pub mod task_state;
pub mod upload;

#[cfg(test)]
mod testing;
