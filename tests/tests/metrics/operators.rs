//! The files for operators in `config/`: whatever they ask of Prometheus, a server tells.
