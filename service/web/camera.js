// The camera of this device, where the browser lets a page have it.

import { h, Problem } from "./dom.js";

const JPEG_QUALITY = 0.92;
const WANTED = { width: { ideal: 1280 }, height: { ideal: 720 } };

const REFUSED = {
  NotAllowedError: "the browser does not let this page use the camera; allow it beside the address, then try again",
  NotFoundError: "no camera was found on this device",
  NotReadableError: "the camera is in use by another program",
};

/** Why there can be no camera; null when there may be one. */
export function whyNoCamera() {
  if (!window.isSecureContext) return "The camera works only over HTTPS or on the service's own machine.";
  if (!navigator.mediaDevices?.getUserMedia) return "This browser gives pages no camera.";
  return null;
}

/** Opens the camera; `element` shows it, `take` gives a photo of now as a file. */
export async function openCamera() {
  let facing = "user";
  let stream = await streamOf(facing);
  const video = h("video", { autoplay: true, muted: true, playsinline: true, "aria-label": "Picture of the camera" });
  video.muted = true;
  video.srcObject = stream;

  async function take() {
    if (video.videoWidth === 0) throw new Problem("the camera shows nothing yet; try again", "camera");
    const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", JPEG_QUALITY));
    return new File([blob], "camera.jpg", { type: "image/jpeg" });
  }

  function stop() {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }

  async function turn() {
    stop();
    facing = facing === "user" ? "environment" : "user";
    stream = await streamOf(facing);
    video.srcObject = stream;
  }

  const devices = await navigator.mediaDevices.enumerateDevices();
  const several = devices.filter((each) => each.kind === "videoinput").length > 1;
  return { element: video, take, stop, turn: several ? turn : null };
}

async function streamOf(facing) {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, ...WANTED }, audio: false });
  } catch (error) {
    throw new Problem(REFUSED[error.name] ?? "the camera cannot be opened", "camera");
  }
}
