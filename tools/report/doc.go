// Package report tells from access logs how fast pages are: roadworthy report. It reads lines of any
// LogFormat of the Apache HTTP Server, or log_format of nginx, and adds up hits, errors and durations by
// route, in memory that is bounded whatever a log holds.
//
// A [Layout] says what stands where in a line, a [LineReader] reads lines, and a [Collector] adds up the
// [Hit]s that come of them:
//
//   - Quantiles come from histograms whose buckets are at most 1/128 of their values wide ([Histogram]), so
//     they are within 0.4 % of exact. Counts, sums and maxima are exact.
//   - Routes are counted by Space-Saving (Metwally, Agrawal, El Abbadi, 2005): with room for 2000, every route
//     that has more than 1/2000 of all requests is in the report, and what it may have missed is told. All
//     others are in one row, so that the rows always add up.
//   - Time is counted in at most 480 bins, which become wider as the log becomes longer.
package report
