const value = {ArrowLeft: "L", ArrowDown: "T", ArrowRight: "R", Backspace: "back"}[event.key];
const button = value && this.querySelector(`[value=${value}]`);
if (button && button.offsetParent) {
  event.preventDefault();
  if (!event.repeat) button.click();
}
