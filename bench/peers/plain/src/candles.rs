//! Candles as `sigbox` writes them to Parquet: `open_time`, then open, high, low, close and volume as doubles.

use std::{error::Error, fs::File};

use parquet::{
    column::reader::ColumnReader,
    file::reader::{FileReader, SerializedFileReader},
};

/// A closed one-minute candle.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "not every reader looks at every field")]
pub struct Candle {
    pub open_time_ms: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
}

/// Every candle of `file`.
pub fn read(file: &str) -> Result<Vec<Candle>, Box<dyn Error>> {
    let reader = SerializedFileReader::new(File::open(file)?)?;
    let mut candles = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        let rows = usize::try_from(group.metadata().num_rows())?;
        let mut times = Vec::with_capacity(rows);
        let mut values: [Vec<f64>; 5] = Default::default();
        for column in 0..group.num_columns() {
            match group.get_column_reader(column)? {
                ColumnReader::Int64ColumnReader(mut column) => {
                    column.read_records(rows, None, None, &mut times)?;
                }
                ColumnReader::DoubleColumnReader(mut doubles) => {
                    doubles.read_records(rows, None, None, &mut values[column - 1])?;
                }
                _ => return Err(format!("column {column} is neither times nor doubles").into()),
            }
        }
        let [open, high, low, close, volume] = values;
        candles.extend((0..rows).map(|row| Candle {
            open_time_ms: times[row],
            open: open[row],
            high: high[row],
            low: low[row],
            close: close[row],
            volume: volume[row],
        }));
    }
    Ok(candles)
}
