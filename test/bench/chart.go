// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// The chart has a group of bars for each metric, a bar for each path, and a
// line at kernel VXLAN. A thin line over a bar is its spread. The axis is
// logarithmic, so that twice and half are equally far from that line. All
// measures are in pixels.
const (
	chartWidth  = 880
	chartLeft   = 250 // where bars may begin: room for the metric's title
	chartRight  = 60  // room for the figure behind a bar
	chartKeys   = 52  // where the keys begin
	keyPitch    = 18
	chartTop    = 40 // below the keys
	barHeight   = 11
	barPitch    = 13
	groupGap    = 12
	sectionGap  = 20       // above a heading's first group
	axisLeast   = 1.0 / 64 // ratios beyond are cut off
	axisMost    = 64.0
	chartBottom = 34
)

// chartColours stand apart on white and on black, and for color-blind eyes.
var chartColours = []string{
	"#8b949e", "#d4a017", "#2f81f7", "#79b8ff", "#8957e5", "#1b7c83", "#b392f0", "#c2478f", "#e36209", "#2da44e", "#56d4dd", "#cf222e", "#9a6700",
}

// chartData is what the template needs, laid out.
type chartData struct {
	Width, Height, Top, Bottom int
	Title, Subtitle            string
	Keys                       []chartKey
	Sections                   []chartSection
	Groups                     []chartGroup
	Ticks                      []chartTick
	One                        float64 // x of the ratio 1
}

type chartKey struct {
	X, Y  int
	Color string
	Title string
}

type chartSection struct {
	Y     int
	Title string
}

type chartGroup struct {
	Title string
	Y     int
	Bars  []chartBar
}

type chartBar struct {
	X, Width     float64
	Y, Height    int
	TextY        int
	Color        string
	Figure, Hint string
	FigureX      float64
	Least, Most  float64 // x of the spread
	Middle       int
}

type chartTick struct {
	X     float64
	Label string
}

// chart draws the main comparison as SVG.
func (r *Report) chart() string {
	var b strings.Builder
	if err := chartTemplate.Execute(&b, r.layOut()); err != nil {
		panic(err) // the template is a constant
	}
	return b.String()
}

func (r *Report) layOut() chartData {
	c := r.Comparisons[0]
	axis := c.axis()
	d := chartData{
		Width: chartWidth, One: axis.at(1), Ticks: axis.ticks(),
		Title: "Ratio to kernel VXLAN in the same run",
		Subtitle: fmt.Sprintf("medians of %s, %d processors, Linux %s, %s", counted(r.Rounds, "round"),
			r.Machine.Processors, r.Machine.Kernel, c.congestion()),
	}
	colors, y := c.keys(&d)
	y += chartTop
	d.Top = y - 4
	for _, less := range []bool{false, true} {
		title := map[bool]string{false: "More is better", true: "Less is better"}[less]
		groups, below := c.groups(less, y+sectionGap, axis, colors)
		if len(groups) > 0 {
			d.Sections = append(d.Sections, chartSection{y + sectionGap - 8, title})
			d.Groups = append(d.Groups, groups...)
			y = below + groupGap
		}
	}
	d.Bottom = y
	d.Height = y + chartBottom
	return d
}

// keys names the colors, in rows, and returns them by path, and where the last
// row is. A path that the README's table leaves out has none.
func (c Comparison) keys(d *chartData) (colors map[string]string, y int) {
	colors = map[string]string{}
	x, y := 16, chartKeys
	for i, p := range c.Paths {
		if len(p.Results) == 0 || p.Name == reference || headlineTitles[p.Name] == "" {
			continue
		}
		width := 30 + 7*len(p.Title)
		if x+width > chartWidth {
			x, y = 16, y+keyPitch
		}
		colors[p.Title] = chartColours[i%len(chartColours)]
		d.Keys = append(d.Keys, chartKey{x, y, colors[p.Title], p.Title})
		x += width
	}
	return colors, y
}

// groups lays out the metrics of one kind from y on, and returns where they
// end.
func (c Comparison) groups(less bool, y int, axis axis, colors map[string]string) ([]chartGroup, int) {
	var groups []chartGroup
	for _, m := range metricsOf(c.Keys) {
		if !m.chart || m.less != less {
			continue
		}
		g := chartGroup{Title: m.title}
		top := y
		for _, p := range c.Paths {
			r := p.Results[m.key]
			if colors[p.Title] == "" || r.OfVXLAN == 0 {
				continue
			}
			g.Bars = append(g.Bars, axis.bar(r, y, colors[p.Title], fmt.Sprintf("%s, %s: %s", m.title, p.Title, m.cell(r))))
			y += barPitch
		}
		if len(g.Bars) > 0 {
			g.Y = (top+y)/2 + 2
			groups = append(groups, g)
			y += groupGap
		}
	}
	return groups, y
}

// axis maps ratios to pixels.
type axis struct{ least, most float64 }

// axis of the comparison reaches from the least ratio to the greatest, in
// powers of two, and has room on both sides of 1.
func (c Comparison) axis() axis {
	a := axis{0.5, 2}
	for _, m := range metricsOf(c.Keys) {
		for _, p := range c.Paths {
			if ratio := p.Results[m.key].OfVXLAN; m.chart && ratio > 0 {
				a.least = min(a.least, math.Exp2(math.Floor(math.Log2(ratio))))
				a.most = max(a.most, math.Exp2(math.Ceil(math.Log2(ratio))))
			}
		}
	}
	return axis{max(a.least, axisLeast), min(a.most, axisMost)}
}

func (a axis) at(ratio float64) float64 {
	ratio = min(max(ratio, a.least), a.most)
	share := math.Log2(ratio/a.least) / math.Log2(a.most/a.least)
	return math.Round((chartLeft+share*(chartWidth-chartRight-chartLeft))*10) / 10
}

func (a axis) ticks() (ticks []chartTick) {
	for ratio := a.least; ratio <= a.most; ratio *= 2 {
		label := fmt.Sprint(ratio)
		if ratio < 1 {
			label = fmt.Sprintf("1/%d", int(1/ratio))
		}
		ticks = append(ticks, chartTick{a.at(ratio), label})
	}
	return ticks
}

// bar reaches from the line at 1 to the ratio.
func (a axis) bar(r Result, y int, color, hint string) chartBar {
	one, x := a.at(1), a.at(r.OfVXLAN)
	base := r.Median / r.OfVXLAN
	least, most := a.at(r.Least/base), a.at(r.Most/base)
	return chartBar{
		X: min(one, x), Width: max(math.Abs(x-one), 1), Y: y, Height: barHeight, TextY: y + barHeight - 2,
		Color: color, Figure: fmt.Sprintf("%.2f", r.OfVXLAN), Hint: hint, FigureX: max(one, most) + 4,
		Least: least, Most: most, Middle: y + barHeight/2,
	}
}

// chartTemplate has no background of its own, and greys that are read on
// white as well as on black.
var chartTemplate = template.Must(template.New("chart").Parse(
	`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" width="{{.Width}}" height="{{.Height}}" role="img" aria-label="{{.Title}}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12" fill="#768390">
<text x="16" y="22" font-size="16" font-weight="600">{{.Title}}</text>
<text x="16" y="40">{{.Subtitle}}</text>
{{range .Keys}}<rect x="{{.X}}" y="{{.Y}}" width="11" height="11" rx="2" fill="{{.Color}}"/><text x="{{.X}}" dx="16" y="{{.Y}}" dy="10">{{.Title}}</text>
{{end}}{{$top := .Top}}{{$bottom := .Bottom}}{{range .Ticks}}<line x1="{{.X}}" x2="{{.X}}" y1="{{$top}}" y2="{{$bottom}}" stroke="#768390" stroke-opacity="0.25"/><text x="{{.X}}" y="{{$bottom}}" dy="16" text-anchor="middle">{{.Label}}</text>
{{end}}{{range .Sections}}<text x="16" y="{{.Y}}" font-weight="600">{{.Title}}</text>
{{end}}{{range .Groups}}<text x="16" y="{{.Y}}">{{.Title}}</text>
{{range .Bars}}<rect x="{{.X}}" y="{{.Y}}" width="{{.Width}}" height="{{.Height}}" rx="2" fill="{{.Color}}"><title>{{.Hint}}</title></rect>{{if lt .Least .Most}}<line x1="{{.Least}}" x2="{{.Most}}" y1="{{.Middle}}" y2="{{.Middle}}" stroke="#768390" stroke-width="1.5"/>{{end}}<text x="{{.FigureX}}" y="{{.TextY}}" font-size="10">{{.Figure}}</text>
{{end}}{{end}}<line x1="{{.One}}" x2="{{.One}}" y1="{{$top}}" y2="{{.Bottom}}" stroke="#768390" stroke-width="1.5"/><text x="{{.One}}" y="{{$top}}" dy="-4" text-anchor="middle">kernel VXLAN</text>
</svg>
`))
