// Package internal/bench/chart draws a bench report: as PNG, as SVG and as one HTML file.
//
// [Draw] makes one [Picture] of a [report.Report], which [Picture.WritePNG] and
// [Picture.WriteSVG] write out. [WriteHTML] writes all of them with all tables
// into one file that needs no network and obeys a policy that forbids it one.
//
// What was measured is drawn with points and solid lines, what is projected with
// dashed lines and the word. Colours can be told apart by people who do not see
// red and green alike, and no colour tells anything that a marker or a word does
// not.
package chart
