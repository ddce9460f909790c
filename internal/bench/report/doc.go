// Package internal/bench/report analyses bench records and puts the figures into tables.
//
// Give every file to [Measurements.Add], then call [Measurements.Analyse]. The
// [Report] has medians, trends, models and projections as values; [Report.Tables]
// gives them as tables that print to a terminal of any width ([Table.Text]) or as
// Markdown ([Table.Markdown]). Package internal/bench/chart draws the same report.
//
// # What the figures are
//
// Warm-ups count nowhere. A time is the median of the runs that came to their
// end; a run that the time limit cut has none. Trends are least squares through
// the single runs, not the medians, and only through those in which every output
// was right, since another run did not do the job whose time is asked for.
//
// A projection to N hosts uses the sizes below N only, so that a measured N
// stands beside what would have been said without it. Its band is the 95 %
// confidence band of the trend: it says how well the line is known, and not
// whether the line goes on as it is.
//
// The package reads records and nothing else, and prints nothing itself.
package report
