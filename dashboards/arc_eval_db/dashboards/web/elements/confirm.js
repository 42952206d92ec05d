export default {
  template: `
    <dialog ref="dialog" class="dialog" aria-labelledby="confirm-title" @close="closed" @cancel="answer = false">
      <h2 id="confirm-title">{{ title }}</h2>
      <p>{{ text }}</p>
      <div class="dialog-buttons">
        <button type="button" ref="no" @click="close(false)">Cancel</button>
        <button type="button" class="primary" @click="close(true)">{{ confirm }}</button>
      </div>
    </dialog>`,
  emits: ["confirm", "cancel"],
  data: () => ({ title: "Sure?", text: "", confirm: "Confirm", answer: false }),
  methods: {
    ask(title, text, confirm) {
      [this.title, this.text, this.confirm, this.answer] = [title, text, confirm, false];
      if (!this.$refs.dialog.open) this.$refs.dialog.showModal();
      this.$refs.no.focus();
    },
    close(answer) {
      this.answer = answer;
      this.$refs.dialog.close();
    },
    closed() {
      this.$emit(this.answer ? "confirm" : "cancel");
    },
  },
};
