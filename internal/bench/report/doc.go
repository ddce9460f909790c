// Package report analyses the records of shoal-bench and makes tables of the
// results.
//
// Pass every file to [Measurements.Add], then call [Measurements.Analyse]. The
// [Report] has medians, trends, models and projections as values;
// [Report.Tables] returns them as tables that can be printed to a terminal of
// any width ([Table.Text]) or as Markdown ([Table.Markdown]). Package chart
// draws the same report.
//
// # What the figures are
//
// Warm-ups are not counted. A time is the median of the completed runs; a run
// that reached the time limit has none. Trends are least squares through the
// single runs, not the medians, and only through runs in which every output was
// correct: another run did not do the work that is measured.
//
// A projection to N hosts uses only sizes below N, so that a measured N can be
// compared with its prediction. Its band is the 95 % confidence band of the
// trend: it says how well the line is known, not whether the trend continues.
//
// The package only reads records, and prints nothing itself.
package report
