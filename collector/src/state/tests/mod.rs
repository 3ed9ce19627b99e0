//! What the state says of scripted, random and impossible histories.

mod against_model;
mod beside;
mod examples;
mod hostile;
mod model;
mod script;
mod shares;
