// Every text goes through {{ }} or an attribute: nothing in a cell is ever markup.
const MARKS = { ok: "●", info: "◆", warn: "▲", critical: "■", unknown: "○" };

export default {
  template: `
    <div class="table-frame" role="region" :aria-label="caption" tabindex="0">
      <table v-if="rows.length" class="data">
        <caption class="sr-only">{{ caption }}</caption>
        <thead>
          <tr>
            <th v-for="(column, index) in columns" :key="index" scope="col" :class="{ figure: column.figure }"
                :aria-sort="sorted(index)">
              <button v-if="column.label" type="button" class="sort" :title="column.hint || null" @click="sort(index)">
                {{ column.label }}<span class="order" aria-hidden="true">{{ order(index) }}</span>
              </button>
              <span v-else class="sr-only">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          <tr v-for="row in ordered" :key="row.key" :data-key="row.key" :class="row.tone ? 'row-' + row.tone : null">
            <td v-for="(cell, index) in row.cells" :key="index" :title="cell.hint"
                :class="{ figure: columns[index].figure, wide: columns[index].wide }">
              <button v-if="cell.action" type="button" class="small" @click="$emit('action', cell.action, row.key)"
                      :aria-label="cell.hint || null">{{ cell.text }}</button>
              <span v-else-if="cell.ms !== undefined" class="moment">
                <time :datetime="iso(cell.ms)">{{ moment(cell.ms) }}</time><span class="ago">{{ " · " + ago(cell.ms) }}</span>
              </span>
              <span v-else-if="cell.tone" class="badge" :class="'tone-' + cell.tone">
                <span aria-hidden="true">{{ mark(cell.tone) }}</span>{{ write(cell) }}
              </span>
              <a v-else-if="cell.href" :href="cell.href">{{ write(cell) }}</a>
              <template v-else>{{ write(cell) }}</template>
            </td>
          </tr>
        </tbody>
      </table>
      <p v-else class="empty">{{ empty }}</p>
    </div>`,
  props: { caption: String, columns: Array, rows: Array, empty: String },
  emits: ["action"],
  data: () => ({ by: null, down: false, tick: 0 }),
  mounted() {
    this.timer = setInterval(() => this.tick++, 5000);
  },
  unmounted() {
    clearInterval(this.timer);
  },
  computed: {
    ordered() {
      if (this.by === null) return this.rows;
      const sign = this.down ? -1 : 1;
      const key = (row) => {
        const cell = row.cells[this.by];
        return cell.value ?? cell.ms ?? cell.text ?? "";
      };
      // What is not known stands last, whichever way it is sorted.
      const missing = (value) => value === "-" || value === "";
      return [...this.rows].sort((a, b) => {
        const [left, right] = [key(a), key(b)];
        if (missing(left) || missing(right)) return missing(left) - missing(right);
        if (typeof left === "number" && typeof right === "number") return sign * (left - right);
        return sign * String(left).localeCompare(String(right), "en", { numeric: true });
      });
    },
  },
  methods: {
    sort(index) {
      // Figures are mostly looked at from the largest on.
      if (this.by === index) this.down = !this.down;
      else [this.by, this.down] = [index, Boolean(this.columns[index].figure)];
    },
    sorted(index) {
      if (this.by !== index) return null;
      return this.down ? "descending" : "ascending";
    },
    order(index) {
      if (this.by !== index) return "";
      return this.down ? " ↓" : " ↑";
    },
    write: (cell) => (cell.value === undefined ? cell.text : arc.formats[cell.unit](cell.value) + (cell.text || "")),
    mark: (tone) => MARKS[tone] ?? "",
    iso: (ms) => new Date(ms).toISOString(),
    moment: (ms) => arc.moment(ms),
    ago(ms) {
      return this.tick >= 0 ? arc.ago(ms) : "";
    },
  },
};
