import { post, signIn } from "./api.js";
import "./password.js";
import "./provider.js";
import { finish, mailedText } from "./second_factor.js";
import { byId, onClick, onSubmit, step, t } from "./ui.js";

// Kept until the address is confirmed, so that nobody has to type it twice.
let account = null;

const form = byId("sign-up");
if (form) {
  onSubmit(form, async ({ name, email, password }) => {
    account = { email: email.trim(), ...(password && { password }) };
    const answer = await post("/v1/users", { ...account, ...(name.trim() && { name: name.trim() }), cookie: true });
    if (answer.session || answer.attempt) return finish(answer);
    mailedText(t.mailed.sign_up, account.email);
    step("mailed");
  });

  onSubmit(byId("mailed"), async ({ code }) => {
    await post("/v1/email-verifications/redemptions", { email: account.email, code: code.replace(/\s/g, "") });
    const { password } = account;
    if (!password) return step("done");
    try {
      await finish(await signIn({ method: "password", ...account }));
    } catch {
      step("done");
    }
  });

  onClick(byId("back"), () => {
    step("start");
    byId("email").focus();
  });
}
