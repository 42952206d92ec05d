export default {
  template: `
    <span class="moment" v-if="ms !== null && ms !== undefined">
      {{ before ? before + " " : "" }}<time :datetime="iso">{{ text }}</time><span class="ago">{{ " · " + ago }}</span>
    </span>`,
  props: { ms: Number, before: String },
  data: () => ({ tick: 0 }),
  mounted() {
    this.timer = setInterval(() => this.tick++, 1000);
  },
  unmounted() {
    clearInterval(this.timer);
  },
  computed: {
    iso() {
      return new Date(this.ms).toISOString();
    },
    text() {
      return arc.moment(this.ms);
    },
    ago() {
      return this.tick >= 0 ? arc.ago(this.ms) : "";
    },
  },
};
