import { post } from "./api.js";
import { mailedText } from "./second_factor.js";
import { byId, onSubmit, step, t } from "./ui.js";

onSubmit(byId("forgot"), async ({ email }) => {
  await post("/v1/password-resets", { email: email.trim() });
  mailedText(t.mailed.reset, email.trim());
  step("mailed");
});
