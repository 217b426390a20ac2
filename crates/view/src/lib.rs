//! View models of the interface and their generated TypeScript.
