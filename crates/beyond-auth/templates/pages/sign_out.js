import { remove } from "./api.js";
import { byId, onSubmit, step } from "./ui.js";

onSubmit(byId("sign-out"), async () => {
  await remove("/v1/sessions/current").catch((problem) => {
    // Whose session has ended is signed out.
    if (problem.status !== 401) throw problem;
  });
  step("done");
});
