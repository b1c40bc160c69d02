//! InfluxQL: text to statements to DataFusion plans. Storage and HTTP are unknown here.
