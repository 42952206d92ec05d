// Draws figures with ECharts. No text becomes markup: tooltips are drawn on the canvas (richText), and the table is text.

// A megabyte: the page is there before it is.
let loading;
const loaded = () => (loading ??= import("nicegui-echart"));

const COLOURS = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6", "--series-7", "--series-8"];
const TABLE_ROWS_MAX = 500;

// Names can hold what ECharts takes for its own formatting.
const quiet = (text) => String(text).replaceAll("{", "(").replaceAll("}", ")").replaceAll("|", "¦");

function palette(element) {
  const style = getComputedStyle(element);
  const probe = document.createElement("span");
  element.append(probe);
  // The custom properties hold light-dark(); only a used colour says which of the two it is.
  const used = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const found = {
    series: COLOURS.map(used),
    ink: used("--ink"), soft: used("--ink-soft"), line: used("--line"), panel: used("--panel"),
    ok: used("--ok"), info: used("--info"), warn: used("--warn"), critical: used("--critical"), unknown: used("--ink-soft"),
    font: style.fontFamily,
  };
  probe.remove();
  return found;
}

export default {
  template: `
    <figure class="chart">
      <div ref="canvas" class="chart-canvas" role="img" :aria-label="label" :style="{ height: height + 'px' }"
           v-show="!isEmpty"></div>
      <p v-if="isEmpty" class="empty">{{ figures === null ? "…" : empty }}</p>
      <details v-else @toggle="opened = $event.target.open">
        <summary>Figures of {{ label }}</summary>
        <div v-if="opened" class="table-frame" role="region" tabindex="0" :aria-label="label">
          <table class="data">
            <thead><tr><th v-for="name in table.head" :key="name" scope="col">{{ name }}</th></tr></thead>
            <tbody>
              <tr v-for="(row, index) in table.rows" :key="index">
                <td v-for="(text, column) in row" :key="column" :class="{ figure: column > 0 }">{{ text }}</td>
              </tr>
            </tbody>
          </table>
        </div>
      </details>
    </figure>`,
  props: { label: String, height: Number, empty: String, figures: Object },
  data: () => ({ opened: false }),
  computed: {
    isEmpty() {
      return !this.figures?.series.some((one) => one.points.length);
    },
    table() {
      const { kind, series, xUnit } = this.figures;
      if (kind === "spans") {
        const rows = series.flatMap((one) =>
          one.points.map(([lane, from, to, label]) => [
            lane, one.name, arc.formats[xUnit](from), arc.formats[xUnit](to - from), label ?? ""]));
        return { head: ["", "kind", "begins", "takes", ""], rows: rows.slice(0, TABLE_ROWS_MAX) };
      }
      const known = new Map();
      series.forEach((one, index) => one.points.forEach(([x, value, low, high]) => {
        if (!known.has(x)) known.set(x, Array(series.length).fill("-"));
        if (value === null) return;
        const write = arc.formats[one.unit];
        known.get(x)[index] = write(value) + (low === undefined ? "" : ` (${write(low)} to ${write(high)})`);
      }));
      const keys = [...known.keys()];
      if (kind === "time") keys.sort((a, b) => b - a);
      const rows = keys.slice(0, TABLE_ROWS_MAX).map((x) =>
        [kind === "time" ? arc.moment(x, { day: "always" }) : x, ...known.get(x)]);
      return { head: [kind === "time" ? "time" : "", ...series.map((one) => one.name)], rows };
    },
  },
  mounted() {
    this.redraw = () => this.draw(true);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.redraw);
    this.themes = new MutationObserver(this.redraw);
    this.themes.observe(document.body, { attributeFilter: ["class"] });
    this.sizes = new ResizeObserver(() => this.chart?.resize());
    this.sizes.observe(this.$refs.canvas);
    this.draw();
  },
  unmounted() {
    this.scheme.removeEventListener("change", this.redraw);
    this.themes.disconnect();
    this.sizes.disconnect();
    this.chart?.dispose();
  },
  watch: {
    figures() {
      this.$nextTick(() => this.draw());
    },
  },
  methods: {
    async draw(anew = false) {
      const { echarts } = await loaded();
      if (this.isEmpty || !this.$refs.canvas) return;
      // Without useDirtyRect: with it, dots of some series were never drawn.
      if (!this.chart) this.chart = echarts.init(this.$refs.canvas, null, { renderer: "canvas" });
      const colours = palette(this.$el);
      const names = this.figures.series.map((one) => one.name).join("\u0000");
      const options = { time: timeOptions, bars: barOptions, spans: spanOptions }[this.figures.kind](this.figures, colours);
      this.chart.setOption(options, { notMerge: anew || names !== this.drawn });
      this.drawn = names;
      this.chart.resize();
    },
  },
};

function common(figures, colours) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  return {
    useUTC: true,
    animation: !still,
    animationDuration: 200,
    animationDurationUpdate: 200,
    textStyle: { fontFamily: colours.font, color: colours.ink },
    color: colours.series,
    grid: { left: 8, right: 16, top: figures.series.length > 1 ? 34 : 14, bottom: 6, containLabel: true },
    legend: {
      show: figures.series.length > 1, top: 0, left: 0, type: "scroll", icon: "roundRect", itemWidth: 10, itemHeight: 10,
      textStyle: { color: colours.ink, fontSize: 12 }, inactiveColor: colours.line, formatter: quiet,
      pageTextStyle: { color: colours.soft }, pageIconColor: colours.ink, pageIconInactiveColor: colours.line,
    },
    tooltip: {
      renderMode: "richText", confine: true, backgroundColor: colours.panel, borderColor: colours.line, borderWidth: 1,
      textStyle: { color: colours.ink, fontSize: 12, fontFamily: colours.font }, order: "valueDesc",
    },
  };
}

const axis = (colours, format) => ({
  axisLine: { lineStyle: { color: colours.line } },
  axisTick: { lineStyle: { color: colours.line } },
  axisLabel: { color: colours.soft, fontSize: 11, hideOverlap: true, ...(format ? { formatter: format } : {}) },
  splitLine: { lineStyle: { color: colours.line, opacity: 0.6 } },
});

// A value between two gaps has no line to be seen by: it gets a dot.
function dots(points) {
  const known = (index) => points[index]?.[1] !== null && points[index]?.[1] !== undefined;
  return (_, { dataIndex }) => (known(dataIndex) && !known(dataIndex - 1) && !known(dataIndex + 1) ? 6 : 0);
}

function timeOptions(figures, colours) {
  const options = common(figures, colours);
  options.tooltip.trigger = "axis";
  options.tooltip.formatter = (found) =>
    [arc.moment(found[0].value[0], { day: "always" }),
     ...found.filter((one) => one.value[1] !== null && one.value[1] !== undefined)
       .map((one) => `${quiet(one.seriesName)}  ${arc.formats[figures.series[one.seriesIndex].unit](one.value[1])}`)].join("\n");
  options.tooltip.axisPointer = { lineStyle: { color: colours.soft } };
  options.xAxis = { type: "time", min: figures.start ?? undefined, max: figures.end ?? undefined, ...axis(colours),
                    splitLine: { show: false } };
  options.yAxis = { type: "value", min: 0, minInterval: figures.unit === "count" ? 1 : 0, ...axis(colours, arc.formats[figures.unit]),
                    axisLine: { show: false } };
  options.series = figures.series.map((one, index) => ({
    name: one.name, type: "line", data: one.points, showSymbol: true, showAllSymbol: true, symbolSize: dots(one.points), connectNulls: false,
    stack: figures.stacked ? "all" : undefined,
    lineStyle: { width: 1.75, type: one.dashed ? "dashed" : "solid" },
    areaStyle: figures.filled || figures.stacked ? { opacity: 0.12 } : undefined,
    itemStyle: { color: one.tone ? colours[one.tone] : colours.series[index % colours.series.length] },
    emphasis: { focus: "series" },
  }));
  return options;
}

function barOptions(figures, colours) {
  const options = common(figures, colours);
  const categories = [...new Set(figures.series.flatMap((one) => one.points.map((point) => point[0])))];
  options.tooltip.trigger = "axis";
  options.tooltip.axisPointer = { type: "shadow", shadowStyle: { opacity: 0.08 } };
  options.tooltip.formatter = (found) =>
    [quiet(categories[found[0].dataIndex]),
     ...found.filter((one) => one.componentSubType === "bar" && one.value !== null && one.value !== undefined)
       .map((one) => `${quiet(one.seriesName)}  ${arc.formats[figures.series.find((of) => of.name === one.seriesName).unit](one.value)}`)].join("\n");
  options.xAxis = { type: "value", min: 0, ...axis(colours, arc.formats[figures.unit]) };
  options.yAxis = { type: "category", data: categories, inverse: true, ...axis(colours, quiet), splitLine: { show: false } };
  options.yAxis.axisLabel = { ...options.yAxis.axisLabel, width: 180, overflow: "truncate", color: colours.ink };
  options.series = figures.series.flatMap((one, index) => {
    const colour = one.tone ? colours[one.tone] : colours.series[index % colours.series.length];
    const byName = new Map(one.points.map((point) => [point[0], point]));
    const bars = {
      name: one.name, type: "bar", stack: figures.stacked ? "all" : undefined, barMaxWidth: 18,
      itemStyle: { color: colour, borderRadius: 2 }, data: categories.map((name) => byName.get(name)?.[1] ?? null),
    };
    const whiskers = one.points.filter((point) => point.length > 3);
    if (!whiskers.length) return [bars];
    return [bars, {
      name: one.name, type: "custom", silent: true, z: 5, tooltip: { show: false },
      data: whiskers.map(([name, , low, high]) => [low, high, categories.indexOf(name)]), encode: { x: [0, 1], y: 2 },
      renderItem: (_, api) => {
        const [left, right] = [api.coord([api.value(0), api.value(2)]), api.coord([api.value(1), api.value(2)])];
        const stroke = { stroke: colours.ink, lineWidth: 1.25, fill: null };
        const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: stroke });
        return { type: "group", children: [
          line(left[0], left[1], right[0], right[1]),
          line(left[0], left[1] - 4, left[0], left[1] + 4), line(right[0], right[1] - 4, right[0], right[1] + 4)] };
      },
    }];
  });
  return options;
}

function spanOptions(figures, colours) {
  const options = common(figures, colours);
  const lanes = [...new Set(figures.series.flatMap((one) => one.points.map((point) => point[0])))];
  const format = arc.formats[figures.xUnit];
  options.tooltip.trigger = "item";
  options.tooltip.formatter = (one) =>
    `${quiet(one.seriesName)}  ${quiet(one.value[3] ?? "")}\nfrom ${format(one.value[1])}, takes ${format(one.value[2] - one.value[1])}`;
  options.xAxis = { type: "value", min: 0, ...axis(colours, format) };
  options.yAxis = { type: "category", data: lanes, inverse: true, ...axis(colours, quiet), splitLine: { show: false } };
  options.yAxis.axisLabel = { ...options.yAxis.axisLabel, width: 160, overflow: "truncate", color: colours.ink };
  options.series = figures.series.map((one, index) => ({
    name: one.name, type: "custom", encode: { x: [1, 2], y: 0 },
    itemStyle: { color: one.tone ? colours[one.tone] : colours.series[index % colours.series.length] },
    data: one.points.map(([lane, from, to, label]) => [lanes.indexOf(lane), from, to, label ?? ""]),
    renderItem: (params, api) => {
      const [start, end] = [api.coord([api.value(1), api.value(0)]), api.coord([api.value(2), api.value(0)])];
      const height = Math.min(16, api.size([0, 1])[1] * 0.7);
      const shape = { x: start[0], y: start[1] - height / 2, width: Math.max(2, end[0] - start[0]), height, r: 2 };
      return { type: "rect", shape, style: { fill: api.visual("color") } };
    },
  }));
  return options;
}
