// Package chart draws a bench report: as PNG, as SVG and as one HTML file.
//
// [Draw] makes one [Picture] of a [report.Report], which [Picture.WritePNG] and
// [Picture.WriteSVG] write. [WriteHTML] writes all pictures and tables into one
// file that needs no network and forbids its use.
//
// Measured values are drawn as points and solid lines; projections are dashed
// and labelled as such. The colours can be told apart with red-green colour
// blindness, and everything that a colour shows is also shown by a marker or a
// word.
package chart
